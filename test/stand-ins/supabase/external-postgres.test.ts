import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { openBondhuDatabase } from '../../../stand-ins/supabase/bondhu-database.ts';
import { connectToPostgres } from '../../../stand-ins/supabase/external-postgres.ts';
import { type Postgres, runSql, startPostgres } from '../../../stand-ins/supabase/postgres.ts';

let server: Postgres;

beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server.stop());

async function query<Row extends object>(url: string, text: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(text)).rows;
  } finally {
    await client.end();
  }
}

async function databasesOf(url: string): Promise<string[]> {
  return (await query<{ datname: string }>(url, 'select datname from pg_database')).map((row) => row.datname);
}

describe('a PostgreSQL server that is there already', () => {
  test('serves as a Supabase project, each connection in its role, and is left without our database', async () => {
    const postgres = await connectToPostgres(server.url);
    const database = await openBondhuDatabase(postgres, { name: 'bondhu_elsewhere' });

    const who = 'select current_user as name';
    expect(await query(database.ownerUrl, who)).toEqual([{ name: 'postgres' }]);
    expect(await query(database.authAdminUrl, who)).toEqual([{ name: 'supabase_auth_admin' }]);
    expect(await query(database.serviceRoleUrl, who)).toEqual([{ name: 'service_role' }]);
    expect(await query(database.serviceRoleUrl, 'show statement_timeout')).toEqual([
      { statement_timeout: '8s' },
    ]);
    expect(await query(database.serviceRoleUrl, "select public.spotify_due_count('1 hour') as due")).toEqual([
      { due: '0' },
    ]);
    await expect(query(database.authenticatorUrl, 'select * from public.profiles')).rejects.toMatchObject({
      code: '42501',
    });

    await postgres.stop();
    expect(await databasesOf(server.url)).not.toContain('bondhu_elsewhere');
  });

  test('is rid of what a killed process left, and keeps what another one uses and what is not ours', async () => {
    const another = await connectToPostgres(server.url);
    await another.createDatabase('in_use');
    const mark = "is 'temporary database of the local Spotify stack'";
    await runSql(server.url, 'create database left_behind');
    await runSql(server.url, `comment on database left_behind ${mark}`);
    await runSql(server.url, 'create database not_ours');
    const lines: string[] = [];

    const postgres = await connectToPostgres(server.url, (line) => lines.push(line));

    expect(lines).toEqual(['Dropped the database left_behind, which an earlier start left on the server']);
    expect(await databasesOf(server.url)).toEqual(expect.arrayContaining(['in_use', 'not_ours']));
    await another.stop();
    await postgres.stop();
    expect(await databasesOf(server.url)).not.toContain('in_use');
  });

  test('loses a database whose creation is under way when everything stops', async () => {
    const postgres = await connectToPostgres(server.url);
    const creation = postgres.createDatabase('half_made');
    await postgres.stop();
    await creation;

    expect(await databasesOf(server.url)).not.toContain('half_made');
  });
});

describe('an address that cannot be used is refused, with what to write:', () => {
  test.each(['', 'mysql://localhost', 'localhost:5432'])('%j', async (url) => {
    await expect(connectToPostgres(url)).rejects.toThrow(
      /^DATABASE_URL must be an address such as postgres:/,
    );
  });

  test('one without a server', async () => {
    await expect(connectToPostgres('postgres://postgres@127.0.0.1:1/postgres')).rejects.toThrow(
      /^DATABASE_URL: the server cannot be reached: .*ECONNREFUSED/,
    );
  });

  test('one of a role that is no superuser', async () => {
    await runSql(server.url, 'create role somebody login');
    const url = new URL(server.url);
    url.username = 'somebody';
    await expect(connectToPostgres(url.href)).rejects.toThrow(/^DATABASE_URL must name a superuser/);
  });
});
