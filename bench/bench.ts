import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { synthesize } from '../local/synthesize.ts';
import {
  type BondhuDatabase,
  createBondhuDatabase,
  openBondhuDatabase,
} from '../stand-ins/supabase/bondhu-database.ts';
import { type Postgres, settingsWithoutDurability, startPostgres } from '../stand-ins/supabase/postgres.ts';
import { type Child, startChild } from './child.ts';
import { type DeployedFunctions, deployFunctions } from './deployed-function.ts';
import type { SupabaseCalls } from './processes/supabase.ts';
import type { TokenEndpoint } from './processes/token-endpoint.ts';

/** Durability is off for both sides of every ratio: it would slow the baselines down more than us. */
const SERVER_SETTINGS = { ...settingsWithoutDurability, shared_buffers: '1GB', max_wal_size: '4GB' };

/** A database with Bondhu's schema and the migrations, behind Supabase's REST interface, and the stack's functions. */
export interface World {
  readonly database: BondhuDatabase;
  readonly supabase: Child<SupabaseCalls>;
  readonly supabaseUrl: string;
  readonly secretKey: string;
  readonly tokenEndpoint: Child<TokenEndpoint>;
  readonly tokenUrl: string;
  readonly functions: DeployedFunctions;
}

/** What measurements share: started when one of them first needs it, stopped with the bench. */
export class Bench implements AsyncDisposable {
  readonly progress: (line: string) => void;
  readonly #started = new AsyncDisposableStack();
  #postgres: Promise<Postgres> | undefined;
  #cdkOutDirectory: Promise<string> | undefined;
  #world: Promise<World> | undefined;

  constructor(progress: (line: string) => void) {
    this.progress = progress;
  }

  postgres(): Promise<Postgres> {
    this.#postgres ??= this.#startPostgres();
    return this.#postgres;
  }

  /** A new database with Bondhu's schema and the migrations. */
  async createDatabase(name: string): Promise<BondhuDatabase> {
    return openBondhuDatabase(await this.postgres(), { name });
  }

  /** A new database with Bondhu's schema as it is without this project. */
  async createDatabaseWithoutMigrations(name: string): Promise<BondhuDatabase> {
    return createBondhuDatabase(await this.postgres(), { name });
  }

  /** The functions' surroundings, shared by all measurements; each fills the database again. */
  world(): Promise<World> {
    this.#world ??= this.#startWorld();
    return this.#world;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#started.disposeAsync();
  }

  async #startPostgres(): Promise<Postgres> {
    const postgres = await startPostgres({ settings: SERVER_SETTINGS, onProgress: this.progress });
    this.#started.defer(() => postgres.stop());
    return postgres;
  }

  async #startWorld(): Promise<World> {
    const cdkOutDirectory = await this.cdkOutDirectory();
    const database = await this.createDatabase('bondhu');
    const supabase = this.#started.use(startChild<SupabaseCalls>('supabase.ts'));
    const { url: supabaseUrl, secretKey } = await supabase.ask('start', database);
    const tokenEndpoint = this.#started.use(startChild<TokenEndpoint>('token-endpoint.ts'));
    const tokenUrl = await tokenEndpoint.ask('start');
    const functions = this.#started.use(
      await deployFunctions({ cdkOutDirectory, supabase: { url: supabaseUrl, secretKey }, tokenUrl }),
    );
    return { database, supabase, supabaseUrl, secretKey, tokenEndpoint, tokenUrl, functions };
  }

  /** Where the stack is synthesized, as for a deployment. */
  cdkOutDirectory(): Promise<string> {
    this.#cdkOutDirectory ??= this.#synthesize();
    return this.#cdkOutDirectory;
  }

  async #synthesize(): Promise<string> {
    this.progress('Synthesizing the stack (cdk synth)');
    const directory = await mkdtemp(join(tmpdir(), 'spotify-auth-bench-'));
    this.#started.defer(() => rm(directory, { recursive: true, force: true }));
    await synthesize(directory);
    return directory;
  }
}
