import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import prepareStacks from '../e2e/prepare-stacks.js';
import { findBrowser, findBrowsers } from './browser.ts';

/**
 * jest's global setup for the tests in a browser: prepares what a stack needs, and finds the browsers: one, or in CI all that there
 * are.
 */
export default async function prepareBrowser() {
  await prepareStacks();
  globalThis.browserDirectory = await mkdtemp(join(tmpdir(), 'spotify-auth-browser-'));
  const found = process.env.CI
    ? await findBrowsers(globalThis.browserDirectory)
    : [await findBrowser(globalThis.browserDirectory)].filter((browser) => browser !== null);
  process.env.BROWSERS_FOR_TESTS = JSON.stringify(found);
}
