import { readFile } from 'node:fs/promises';
import pg from 'pg';
import { type Postgres, runSql } from './postgres.ts';

const OLDEST_VERSION = 150_000;
const CONNECTION_TIMEOUT_MILLISECONDS = 1_000;

/** The comment on every database that is created here. Later starts drop databases with it that have no connections. */
const MARK = 'temporary database of the local Spotify stack';

/** Settings that a role gets at login, which these connections miss, because they log in as the superuser. */
const SETTINGS_OF_ROLES: Readonly<Record<string, string>> = {
  authenticator: ' -c statement_timeout=8s -c lock_timeout=8s',
  supabase_auth_admin: ' -c search_path=auth',
};

/**
 * Uses an existing PostgreSQL server, 15 or newer. Creates missing roles of a Supabase project, which
 * stay; `stop` drops the created databases, or the next call does if `stop` was never called.
 * Every connection logs in as the role of the URL and switches to another, so that no role needs a password.
 *
 * @param url of a superuser: `postgres://user:password@host:port/database`
 * @param onProgress receives a line about what is dropped, and about what stays
 * @throws Error that describes the problem with the URL or the server
 */
export async function connectToPostgres(
  url: string,
  onProgress: (line: string) => void = () => {},
): Promise<Postgres> {
  if (!/^postgres(ql)?:$/.test(URL.parse(url)?.protocol ?? '')) {
    throw new Error(
      'DATABASE_URL must be an address such as postgres://user:password@127.0.0.1:5432/postgres',
    );
  }
  await checkServer(url);
  for (const name of await dropAbandonedDatabases(url)) {
    onProgress(`Dropped the database ${name}, which an earlier start left on the server`);
  }
  const rolesSql = await readFile(new URL('roles.sql', import.meta.url), 'utf8');
  await runSql(url, rolesSql);

  /** The databases created here, each with a connection that marks it as in use. */
  const created = new Map<string, Promise<pg.Client>>();

  function urlOf(database: string, role: string, asRole = role): string {
    const address = new URL(url);
    address.pathname = `/${database}`;
    if (role !== 'supabase_admin') {
      address.searchParams.set('options', `-c role=${asRole}${SETTINGS_OF_ROLES[role] ?? ''}`);
    }
    return address.href;
  }

  async function create(name: string): Promise<pg.Client> {
    await runSql(url, `create database ${pg.escapeIdentifier(name)} owner postgres`);
    const user = new pg.Client({ connectionString: urlOf(name, 'supabase_admin') });
    user.on('error', () => {});
    await user.connect();
    await user.query(`comment on database ${pg.escapeIdentifier(name)} is ${pg.escapeLiteral(MARK)}`);
    return user;
  }

  return {
    url,
    urlOf,
    async createDatabase(name) {
      const creation = create(name);
      created.set(name, creation);
      await creation;
    },
    async stop() {
      for (const [name, creation] of created) {
        created.delete(name);
        // A database that is still being created cannot be dropped.
        const user = await creation.catch(() => undefined);
        await user?.end();
        await runSql(url, `drop database if exists ${pg.escapeIdentifier(name)} with (force)`);
        onProgress(`Dropped the database ${name}`);
      }
      onProgress(`These roles stay on the server: ${rolesIn(rolesSql)}`);
    },
  };
}

function rolesIn(sql: string): string {
  return [...sql.matchAll(/create role (\w+)/g)].map(([, role]) => role).join(', ');
}

/** Drops the databases of killed local stacks. @returns their names */
async function dropAbandonedDatabases(url: string): Promise<readonly string[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ name: string }>(
      `select datname as name from pg_database d
       where shobj_description(oid, 'pg_database') = $1
         and not exists (select from pg_stat_activity a where a.datid = d.oid)`,
      [MARK],
    );
    const dropped: string[] = [];
    for (const { name } of rows) {
      // Without force, so that a session that has connected meanwhile keeps it. Another start may be dropping it as well.
      await client.query(`drop database ${pg.escapeIdentifier(name)}`).then(
        () => dropped.push(name),
        () => {},
      );
    }
    return dropped;
  } finally {
    await client.end();
  }
}

async function checkServer(url: string): Promise<void> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: CONNECTION_TIMEOUT_MILLISECONDS,
  });
  try {
    await client.connect();
  } catch (cause) {
    throw new Error(`DATABASE_URL: the server cannot be reached: ${reasonOf(cause)}`, { cause });
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
      throw new Error(
        'DATABASE_URL must name a superuser, because the start creates the roles of a Supabase project',
      );
    }
  } finally {
    await client.end();
  }
}

/** If a name has several addresses and none answers, the message is empty. */
function reasonOf(error: unknown): string {
  const { message = '', code = 'unknown error' } = Object(error);
  return message === '' ? code : message;
}
