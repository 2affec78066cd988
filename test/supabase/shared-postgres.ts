import { randomUUID } from 'node:crypto';
import { removeAbandonedFolders } from '../../local/leftovers.ts';
import {
  applyMigrations,
  type BondhuDatabase,
  bondhuDatabaseOn,
  createBondhuDatabase,
} from '../../stand-ins/supabase/bondhu-database.ts';
import {
  findFolderInMemory,
  type Postgres,
  postgresAt,
  runSql,
  settingsWithoutDurability,
  startPostgres,
} from '../../stand-ins/supabase/postgres.ts';

/** Databases to copy: Bondhu's schema, with the old or the new default privileges of Supabase, or with the migrations. */
export type Template = 'old' | 'new' | 'migrated';

/** A database of one test file, on the server that all files share. */
export interface DatabaseCopy extends BondhuDatabase {
  drop(): Promise<void>;
}

/** Written by the global setup, which runs in another process than the tests. */
const PORT_VARIABLE = 'SHARED_POSTGRES_PORT';

/** Whether there is one, of this process or of the one that has started it. */
export function isPostgresShared(): boolean {
  return process.env[PORT_VARIABLE] !== undefined;
}

/** Starts the server with the templates. Creating a cluster and a schema takes a second, and copying a database a moment. */
export async function startSharedPostgres(): Promise<Postgres> {
  // A cluster whose owner was killed while it was created holds memory.
  await removeAbandonedFolders(await findFolderInMemory());
  const postgres = await startPostgres({
    inMemory: true,
    settings: {
      ...settingsWithoutDurability,
      max_connections: '500',
      // It would count a table in the moment between two tests when that is empty, and plan the next test for no rows.
      autovacuum: 'off',
      // What is copied is not written twice.
      wal_level: 'minimal',
      max_wal_senders: '0',
    },
  });
  try {
    for (const defaultPrivileges of ['old', 'new'] as const) {
      await createBondhuDatabase(postgres, { name: defaultPrivileges, defaultPrivileges });
    }
    await copyDatabase(postgres, 'migrated', 'new');
    await applyMigrations(bondhuDatabaseOn(postgres, 'migrated').ownerUrl);
  } catch (error) {
    await postgres.stop();
    throw error;
  }
  process.env[PORT_VARIABLE] = new URL(postgres.url).port;
  return postgres;
}

/** Creates a database on the shared server. */
export async function copyTemplate(template: Template): Promise<DatabaseCopy> {
  const port = process.env[PORT_VARIABLE];
  if (port === undefined) {
    throw new Error(
      'no PostgreSQL was started for this test: its project in jest.config.js needs the globalSetup',
    );
  }
  const postgres = postgresAt(Number(port), async () => {});
  const name = `${template}_${randomUUID().replaceAll('-', '_')}`;
  await copyDatabase(postgres, name, template);
  return {
    ...bondhuDatabaseOn(postgres, name),
    drop: () => runSql(postgres.url, `drop database "${name}" with (force)`),
  };
}

function copyDatabase(postgres: Postgres, name: string, template: Template): Promise<void> {
  return runSql(
    postgres.url,
    `create database "${name}" template "${template}" owner postgres strategy file_copy`,
  );
}
