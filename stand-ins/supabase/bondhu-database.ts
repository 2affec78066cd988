import { readdir, readFile } from 'node:fs/promises';
import { type Postgres, runSql } from './postgres.ts';

export interface BondhuDatabaseOptions {
  /** Must not exist yet. */
  readonly name: string;
  /**
   * The project's default privileges: `old` opens every new object in public
   * to the API roles, `new` opens none.
   * @default 'new'
   */
  readonly defaultPrivileges?: 'old' | 'new';
}

/** Connection URLs of one database, for different roles. */
export interface BondhuDatabase {
  readonly superuserUrl: string;
  /** `postgres`: owns Bondhu's objects and applies migrations; not a superuser. */
  readonly ownerUrl: string;
  /** `authenticator`: PostgREST logs in as this role; may `set role` to anon, authenticated and service_role. */
  readonly authenticatorUrl: string;
  /** `supabase_auth_admin`: GoTrue logs in as this role. */
  readonly authAdminUrl: string;
  /**
   * `authenticator`, already switched to service_role: with the privileges and the statement timeout (8 s, the login
   * role's) of a secret key at the REST API.
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

/** Creates a database with Bondhu's schema, before this project's migrations. */
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

/** The URLs of an existing database. */
export function bondhuDatabaseOn(postgres: Postgres, name: string): BondhuDatabase {
  return {
    superuserUrl: postgres.urlOf(name, 'supabase_admin'),
    ownerUrl: postgres.urlOf(name, 'postgres'),
    authenticatorUrl: postgres.urlOf(name, 'authenticator'),
    authAdminUrl: postgres.urlOf(name, 'supabase_auth_admin'),
    serviceRoleUrl: postgres.urlOf(name, 'authenticator', 'service_role'),
  };
}

/** Creates `auth.uid()` and similar functions, or restores Supabase's own. */
export function createAuthFunctions(authAdminUrl: string): Promise<void> {
  return runFile(authAdminUrl, new URL('auth-functions.sql', import.meta.url));
}

/**
 * Applies every file of supabase/migrations in order, each as one implicit transaction, like `supabase db push`.
 *
 * @throws Error that names the file, with PostgreSQL's error as its cause.
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
