import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import synthesizeOnce from '../e2e/synthesize-once.js';
import { findBrowser } from './browser.ts';

/** jest's global setup for the tests in a browser: synthesizes the stack, and unpacks a browser where there is none. */
export default async function prepareBrowser() {
  await synthesizeOnce();
  globalThis.browserDirectory = await mkdtemp(join(tmpdir(), 'spotify-auth-browser-'));
  process.env.BROWSER_FOR_TESTS = JSON.stringify(await findBrowser(globalThis.browserDirectory));
}
