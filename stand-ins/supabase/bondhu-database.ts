import { readdir, readFile } from 'node:fs/promises';
import { type Postgres, runSql } from './postgres.ts';

export interface BondhuDatabaseOptions {
  /** Not an existing database. */
  readonly name: string;
  /**
   * Which of Supabase's default privileges the project was created with: `old` opens every new object in public
   * to the API roles, `new` opens none.
   * @default 'new'
   */
  readonly defaultPrivileges?: 'old' | 'new';
}

/** Connection URLs of one database, each as another role. */
export interface BondhuDatabase {
  readonly superuserUrl: string;
  /** `postgres`: owns Bondhu's objects and applies migrations; not a superuser. */
  readonly ownerUrl: string;
  /** `authenticator`: what PostgREST logs in as; may `set role` to anon, authenticated and service_role. */
  readonly authenticatorUrl: string;
  /** `supabase_auth_admin`: what GoTrue logs in as. */
  readonly authAdminUrl: string;
  /**
   * `authenticator`, already in the role service_role: the rights and the statement timeout (8 s, the login
   * role's) that a secret key has through the REST API.
   */
  readonly serviceRoleUrl: string;
}

/** Creates a database with Bondhu's schema and applies this project's migrations. */
export async function openBondhuDatabase(
  postgres: Postgres,
  options: BondhuDatabaseOptions,
): Promise<BondhuDatabase> {
  const database = await createBondhuDatabase(postgres, options);
  await applyMigrations(database.ownerUrl);
  return database;
}

/** Creates a database with Bondhu's schema as it is before this project's migrations. */
export async function createBondhuDatabase(
  postgres: Postgres,
  { name, defaultPrivileges = 'new' }: BondhuDatabaseOptions,
): Promise<BondhuDatabase> {
  await postgres.createDatabase(name);
  const database = bondhuDatabaseOn(postgres, name);
  await runFile(database.superuserUrl, new URL('platform.sql', import.meta.url));
  await createAuthFunctions(database.authAdminUrl);
  await runFile(
    database.superuserUrl,
    new URL(`default-privileges-${defaultPrivileges}.sql`, import.meta.url),
  );
  await runFile(database.ownerUrl, new URL('bondhu.sql', import.meta.url));
  return database;
}

/** The addresses of a database that is there. */
export function bondhuDatabaseOn(postgres: Postgres, name: string): BondhuDatabase {
  return {
    superuserUrl: postgres.urlOf(name, 'supabase_admin'),
    ownerUrl: postgres.urlOf(name, 'postgres'),
    authenticatorUrl: postgres.urlOf(name, 'authenticator'),
    authAdminUrl: postgres.urlOf(name, 'supabase_auth_admin'),
    serviceRoleUrl: postgres.urlOf(name, 'authenticator', 'service_role'),
  };
}

/** Creates `auth.uid()` and the like, or puts Supabase's own back in place of others. */
export function createAuthFunctions(authAdminUrl: string): Promise<void> {
  return runFile(authAdminUrl, new URL('auth-functions.sql', import.meta.url));
}

/**
 * Applies every file of supabase/migrations in order, each as one implicit transaction, as `supabase db push` does.
 *
 * @throws Error naming the file, with PostgreSQL's error as its cause.
 */
export async function applyMigrations(ownerUrl: string): Promise<void> {
  const directory = new URL('../../supabase/migrations/', import.meta.url);
  const files = (await readdir(directory)).filter((file) => file.endsWith('.sql')).sort();
  for (const file of files) {
    await runFile(ownerUrl, new URL(file, directory)).catch((cause: Error) => {
      throw new Error(`Migration ${file} failed: ${cause.message}`, { cause });
    });
  }
}

async function runFile(url: string, file: URL): Promise<void> {
  await runSql(url, await readFile(file, 'utf8'));
}
