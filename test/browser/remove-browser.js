import { rm } from 'node:fs/promises';
import removeStacks from '../e2e/remove-stacks.js';

/** jest's global teardown for the tests in a browser: removes what the setup has made. */
export default async function removeBrowser() {
  await removeStacks();
  await rm(globalThis.browserDirectory, { recursive: true, force: true });
}
