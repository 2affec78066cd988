import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { runSql } from '../../stand-ins/supabase/postgres.ts';
import { ownToken, TestDatabase, tokenOf } from './database.ts';

/** Every created object of the database, and the settings of Bondhu's table. */
const objects = `
  select 'schema ' || nspname as object from pg_namespace where nspname !~ '^pg_'
  union all select 'function ' || oid::regprocedure from pg_proc where pronamespace::regnamespace::text !~ '^pg_|information_schema'
  union all select 'relation ' || oid::regclass from pg_class where relnamespace::regnamespace::text !~ '^pg_|information_schema'
  union all select 'trigger ' || tgname from pg_trigger where not tgisinternal
  union all select 'option ' || option from pg_class, unnest(reloptions) option where oid = 'public.profiles'::regclass
  order by 1`;

let database: TestDatabase;

beforeAll(async () => {
  database = await TestDatabase.start({ migrated: false });
});
afterAll(() => database.stop());

async function remove(): Promise<void> {
  const sql = await readFile(new URL('../../supabase/optional/remove.sql', import.meta.url), 'utf8');
  await runSql(database.urls.ownerUrl, sql);
}

test('removing this project leaves the database as it was before, tokens and all, and can be repeated', async () => {
  const before = await database.owner(objects);
  await database.migrate();
  const user = await database.createUser({ access: 'access', refresh: ownToken, expires: 60 });
  await database.owner(
    'create function public.spotify_bondhus_own() returns integer language sql as $$ select 1 $$',
  );

  await remove();
  await remove();

  await database.owner('drop function public.spotify_bondhus_own()');
  expect(await database.owner(objects)).toEqual(before);
  expect(await database.profile(user)).toMatchObject({
    spotify_access_token: 'access',
    spotify_refresh_token: tokenOf(user),
  });
});

test('the migrations can be applied again afterwards', async () => {
  await remove();
  await database.migrate();
  expect(await database.call('spotify_connection_stats')).toMatchObject({ connected: 0 });
});
