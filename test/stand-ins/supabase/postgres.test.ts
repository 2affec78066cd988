import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect, test } from '@jest/globals';
import pg from 'pg';
import { startPostgres } from '../../../stand-ins/supabase/postgres.ts';

test.each([
  ['on disk', {}],
  ['in memory', { inMemory: true }],
])('a server %s answers as PostgreSQL 17, and is gone after stop', async (_, options) => {
  const postgres = await startPostgres(options);
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  const { rows } = await client.query(
    `select current_setting('server_version_num')::int as version, pg_postmaster_start_time() is not null as runs,
       (select setting from pg_settings where name = 'data_directory') as directory`,
  );
  const { pid } = (await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0] ?? {
    pid: 0,
  };
  client.on('error', () => {});

  await postgres.stop();

  expect(rows[0]).toMatchObject({ version: expect.any(Number), runs: true });
  expect(existsSync(dirname(rows[0].directory))).toBe(false);
  expect(Math.floor(rows[0].version / 10000)).toBe(17);
  expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  await expect(new pg.Client({ connectionString: postgres.url }).connect()).rejects.toThrow('ECONNREFUSED');
});

test('a taken port is replaced by a free one', async () => {
  const first = await startPostgres();
  const takenPort = Number(new URL(first.url).port);

  const second = await startPostgres({ port: takenPort });

  expect(Number(new URL(second.url).port)).not.toBe(takenPort);
  await Promise.all([first.stop(), second.stop()]);
});

test('a setting that PostgreSQL refuses is reported in its own words', async () => {
  await expect(startPostgres({ settings: { max_connections: 'many' } })).rejects.toThrow('max_connections');
});
