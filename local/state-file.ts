import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { isRunning } from './leftovers.ts';

/** The addresses of the running stack, and its sample users. */
export interface StackState {
  /** The demo page. */
  readonly demoUrl: string;
  /** The status API: append a path of the HTTP contract. */
  readonly apiUrl: string;
  readonly supabaseUrl: string;
  readonly supabasePublishableKey: string;
  readonly supabaseSecretKey: string;
  /** The database, as the owner of Bondhu's tables. */
  readonly databaseUrl: string;
  /** The stand-in for Spotify's accounts service. */
  readonly spotifyUrl: string;
  /** One address for all AWS services, for operators' commands; `operator/local-stack.ts` reads it. */
  readonly awsEndpointUrl: string;
  readonly users: readonly {
    readonly id: string;
    readonly email: string;
    readonly password: string;
    readonly state: string;
  }[];
}

/** The files next to `stack.json`. */
const BESIDE = ['users.sh', 'authorization'];

/** Shows whether the stack of a state file is still running. */
const Owner = v.pipe(v.string(), v.parseJson(), v.object({ pid: v.number(), awsEndpointUrl: v.string() }));

/**
 * `stack.json` and the files next to it. They belong to one running stack: the first to become ready. Another one that
 * is started in the same checkout leaves them alone.
 */
export class StateFile {
  readonly #directory: string;
  readonly #path: string;

  /** @param directory must exist */
  constructor(directory: string) {
    this.#directory = directory;
    this.#path = join(directory, 'stack.json');
  }

  /**
   * Writes the files. Once `stack.json` exists, the stack counts as ready.
   *
   * @param files the texts of the other files, by path: `users.sh`, and headers in `authorization/`
   * @returns whether the files are this stack's now: false if they belong to another running stack
   */
  async claim(state: StackState, files: Readonly<Record<string, string>>): Promise<boolean> {
    await this.removeAbandoned();
    // Linking fails if the file exists, and what it links to is already complete.
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

  /** Removes the files if they are this stack's. */
  async release(): Promise<void> {
    const owner = await this.#readOwner();
    if (owner?.success && owner.output.pid === process.pid) await this.#remove();
  }

  /** Removes the files of a killed stack. @returns whether there were any */
  async removeAbandoned(): Promise<boolean> {
    const owner = await this.#readOwner();
    if (!owner || (owner.success && (await isAlive(owner.output)))) return false;
    await this.#remove();
    return true;
  }

  /** @returns undefined if there is no file */
  async #readOwner() {
    const text = await readFile(this.#path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
    return text === undefined ? undefined : v.safeParse(Owner, text);
  }

  /** `stack.json` names the owner, so it goes last. */
  async #remove(): Promise<void> {
    for (const name of [...BESIDE, 'stack.json']) {
      await rm(join(this.#directory, name), { recursive: true, force: true });
    }
  }
}

/** After a restart of the machine, another process may have its process id: then nothing answers. */
async function isAlive({ pid, awsEndpointUrl }: v.InferOutput<typeof Owner>): Promise<boolean> {
  if (!isRunning(pid)) return false;
  return fetch(awsEndpointUrl).then(
    () => true,
    () => false,
  );
}
