import { rm } from 'node:fs/promises';
import removeSynthesized from '../e2e/remove-synthesized.js';

/** jest's global teardown for the tests in a browser: removes what the setup has made. */
export default async function removeBrowser() {
  await removeSynthesized();
  await rm(globalThis.browserDirectory, { recursive: true, force: true });
}
