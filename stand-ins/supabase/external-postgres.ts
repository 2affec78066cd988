import { readFile } from 'node:fs/promises';
import pg from 'pg';
import { type Postgres, runSql } from './postgres.ts';

const OLDEST_VERSION = 150_000;

/** What a role is set to when it logs in, which these connections do not: they log in as the superuser. */
const SETTINGS_OF_ROLES: Readonly<Record<string, string>> = {
  authenticator: ' -c statement_timeout=8s -c lock_timeout=8s',
  supabase_auth_admin: ' -c search_path=auth',
};

/**
 * Uses a PostgreSQL server that is there already, 15 or newer. Creates the roles of a Supabase project where they are
 * missing, which stay; the databases that are created are dropped by `stop`. Every connection logs in as the role of the
 * address and takes on another, so that no role needs a password.
 *
 * @param url of a superuser: `postgres://user:password@host:port/database`
 * @throws Error that says what is wrong with the address or the server
 */
export async function connectToPostgres(url: string): Promise<Postgres> {
  if (!/^postgres(ql)?:$/.test(URL.parse(url)?.protocol ?? '')) {
    throw new Error(
      'DATABASE_URL must be an address such as postgres://user:password@127.0.0.1:5432/postgres',
    );
  }
  await checkServer(url);
  await runSql(url, await readFile(new URL('roles.sql', import.meta.url), 'utf8'));

  const created: string[] = [];
  return {
    url,
    urlOf(database, role, asRole = role) {
      const address = new URL(url);
      address.pathname = `/${database}`;
      if (role !== 'supabase_admin') {
        address.searchParams.set('options', `-c role=${asRole}${SETTINGS_OF_ROLES[role] ?? ''}`);
      }
      return address.href;
    },
    async createDatabase(name) {
      await runSql(url, `create database ${pg.escapeIdentifier(name)} owner postgres`);
      created.push(name);
    },
    async stop() {
      for (const name of created.splice(0)) {
        await runSql(url, `drop database if exists ${pg.escapeIdentifier(name)} with (force)`);
      }
    },
  };
}

async function checkServer(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  try {
    await client.connect();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`DATABASE_URL: the server cannot be reached: ${reason}`, { cause });
  }
  try {
    const { rows } = await client.query<{ version: number; superuser: boolean }>(
      `select current_setting('server_version_num')::int as version, current_setting('is_superuser')::bool as superuser`,
    );
    const { version = 0, superuser = false } = rows[0] ?? {};
    if (version < OLDEST_VERSION) {
      throw new Error(`DATABASE_URL: the server must be PostgreSQL 15 or newer, got ${version / 10_000}`);
    }
    if (!superuser) {
      throw new Error("DATABASE_URL must name a superuser: a Supabase project's roles are created");
    }
  } finally {
    await client.end();
  }
}
