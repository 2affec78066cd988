import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { synthesize } from '../../local/synthesize.ts';

/**
 * jest's global setup for the end-to-end tests: synthesizes the stack once, for all of them, unless the environment
 * names a synthesized one.
 */
export default async function synthesizeOnce() {
  if (process.env.SYNTHESIZED_STACK !== undefined) return;
  const directory = mkdtempSync(join(tmpdir(), 'spotify-auth-e2e-'));
  await synthesize(directory);
  process.env.SYNTHESIZED_STACK = directory;
  globalThis.synthesizedHere = directory;
}
