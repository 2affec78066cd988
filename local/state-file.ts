import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const path = join(import.meta.dirname, '../.local/stack.json');

/** Where the running stack is and who its sample users are. */
export interface StackState {
  /** The page to try it on. */
  readonly demoUrl: string;
  /** The status API: put a path of the HTTP contract behind it. */
  readonly apiUrl: string;
  readonly supabaseUrl: string;
  readonly supabasePublishableKey: string;
  readonly supabaseSecretKey: string;
  /** The database, as the owner of Bondhu's tables. */
  readonly databaseUrl: string;
  /** The stand-in for Spotify's accounts service. */
  readonly spotifyUrl: string;
  /** What operators use of AWS, all services at one address; `operator/local-stack.ts` reads it. */
  readonly awsEndpointUrl: string;
  readonly users: readonly {
    readonly id: string;
    readonly email: string;
    readonly password: string;
    readonly state: string;
  }[];
}

/** Writes `.local/stack.json`: from then on the stack counts as ready. */
export async function writeState(state: StackState): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, `${JSON.stringify(state, null, 2)}\n`);
}

/** Removes `.local/stack.json`, if it is there. */
export async function removeState(): Promise<void> {
  await rm(path, { force: true });
}
