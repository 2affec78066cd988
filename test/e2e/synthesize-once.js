import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { synthesizeOrCopy } from '../../local/synthesize.ts';

/**
 * jest's global setup for the end-to-end tests: synthesizes the stack once, for all of them and for the `npm start`
 * that some run, unless the environment names a synthesized one. A stack whose inputs have not changed is a copy.
 */
export default async function synthesizeOnce() {
  if (process.env.SYNTHESIZED_STACK !== undefined) return;
  const directory = mkdtempSync(join(tmpdir(), 'spotify-auth-e2e-'));
  await synthesizeOrCopy(directory);
  process.env.SYNTHESIZED_STACK = directory;
  globalThis.synthesizedHere = directory;
}
