import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import synthesizeOnce from '../e2e/synthesize-once.js';
import { findBrowser } from './browser.ts';

/** jest's global setup for the tests in a browser: synthesizes the stack, and unpacks a browser where there is none. */
export default async function prepareBrowser() {
  await synthesizeOnce();
  globalThis.browserDirectory = await mkdtemp(join(tmpdir(), 'spotify-auth-browser-'));
  const found = await findBrowser(globalThis.browserDirectory);
  // On somebody's own machine these tests are then skipped, which its owner sees; in CI nobody would.
  if (found === null && process.env.CI) {
    throw new Error('CI has no browser to test the page in: install Chromium, or name one in CHROMIUM_PATH');
  }
  process.env.BROWSER_FOR_TESTS = JSON.stringify(found);
}
