import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { isRunning } from './leftovers.ts';

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

/** What stands beside `stack.json`. */
const BESIDE = ['users.sh', 'authorization'];

/** What tells whether the stack of a state file still runs. */
const Owner = v.pipe(v.string(), v.parseJson(), v.object({ pid: v.number(), awsEndpointUrl: v.string() }));

/**
 * `stack.json` and the files beside it, which belong to one running stack: the first that is ready. Another one that
 * is started in the same checkout leaves them alone.
 */
export class StateFile {
  readonly #directory: string;
  readonly #path: string;

  /** @param directory is there */
  constructor(directory: string) {
    this.#directory = directory;
    this.#path = join(directory, 'stack.json');
  }

  /**
   * Writes the files; once `stack.json` is there, the stack counts as ready.
   *
   * @param files the texts of those beside it, by path: `users.sh`, and headers in `authorization/`
   * @returns whether they are this stack's now: not where they are those of another one that runs
   */
  async claim(state: StackState, files: Readonly<Record<string, string>>): Promise<boolean> {
    await this.removeAbandoned();
    // A link is made only where there is none, and what it leads to is complete.
    const draft = `${this.#path}.${process.pid}`;
    try {
      await writeFile(draft, `${JSON.stringify({ pid: process.pid, ...state }, null, 2)}\n`);
      await link(draft, this.#path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      return false;
    } finally {
      await rm(draft, { force: true });
    }
    for (const [name, text] of Object.entries(files)) {
      await mkdir(join(this.#directory, name, '..'), { recursive: true });
      await writeFile(join(this.#directory, name), text);
    }
    return true;
  }

  /** Removes this stack's files, and no other's. */
  async release(): Promise<void> {
    const owner = await this.#readOwner();
    if (owner?.success && owner.output.pid === process.pid) await this.#remove();
  }

  /** Removes the files of a stack that was killed. @returns whether there were any */
  async removeAbandoned(): Promise<boolean> {
    const owner = await this.#readOwner();
    if (!owner || (owner.success && (await isAlive(owner.output)))) return false;
    await this.#remove();
    return true;
  }

  /** @returns undefined where there is no file */
  async #readOwner() {
    const text = await readFile(this.#path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
    return text === undefined ? undefined : v.safeParse(Owner, text);
  }

  /** Its owner is told by `stack.json`, which therefore goes last. */
  async #remove(): Promise<void> {
    for (const name of [...BESIDE, 'stack.json']) {
      await rm(join(this.#directory, name), { recursive: true, force: true });
    }
  }
}

/** Its process id may be another's by now, after a restart of the machine: then nothing answers. */
async function isAlive({ pid, awsEndpointUrl }: v.InferOutput<typeof Owner>): Promise<boolean> {
  if (!isRunning(pid)) return false;
  return fetch(awsEndpointUrl).then(
    () => true,
    () => false,
  );
}
