import { rm } from 'node:fs/promises';

/** jest's global teardown for the end-to-end tests: removes what the setup has made. */
export default async function removeSynthesized() {
  if (globalThis.synthesizedHere) await rm(globalThis.synthesizedHere, { recursive: true, force: true });
}
