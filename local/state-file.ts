import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';

const path = join(import.meta.dirname, '../.local/stack.json');

const StackState = v.object({
  /** The page to try it on. */
  demoUrl: v.string(),
  /** The status API: put a path of the HTTP contract behind it. */
  apiUrl: v.string(),
  supabaseUrl: v.string(),
  supabasePublishableKey: v.string(),
  supabaseSecretKey: v.string(),
  /** The database, as the owner of Bondhu's tables. */
  databaseUrl: v.string(),
  /** The stand-in for Spotify's accounts service. */
  spotifyUrl: v.string(),
  /** What operators use of AWS, all services at one address. */
  awsEndpointUrl: v.string(),
  users: v.array(v.object({ id: v.string(), email: v.string(), password: v.string(), state: v.string() })),
});

/** Where the running stack is and who its sample users are. */
export type StackState = v.InferOutput<typeof StackState>;

/** Writes `.local/stack.json`: from then on the stack counts as ready. */
export async function writeState(state: StackState): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, `${JSON.stringify(state, null, 2)}\n`);
}

/** Removes `.local/stack.json`, if it is there. */
export async function removeState(): Promise<void> {
  await rm(path, { force: true });
}

/** Reads `.local/stack.json`. @throws Error saying what to do, where no stack is running */
export async function readState(): Promise<StackState> {
  const text = await readFile(path, 'utf8').catch(() => {
    throw new Error(
      'no local stack is running: start one with "npm start" and wait until it says that it is ready',
    );
  });
  return v.parse(StackState, JSON.parse(text));
}
