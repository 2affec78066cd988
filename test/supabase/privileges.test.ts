import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { TestDatabase } from './database.ts';

type DatabaseFunction = { readonly schema: string; readonly signature: string; readonly call: string };

/** Every function there is, with a call that passes null for each argument. */
const functionsInOurSchemas = `
  select p.oid::regprocedure::text as signature, n.nspname as schema,
    format('select %I.%I(%s)', n.nspname, p.proname, (
      select string_agg(format('null::%s', format_type(type, null)), ', ' order by position)
      from unnest(p.proargtypes::oid[]) with ordinality as argument (type, position))) as call
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
  where n.nspname in ('public', 'spotify_auth')
  order by 1`;

const refused = { code: '42501' };

describe.each(['old', 'new'] as const)('under the %s default privileges of Supabase', (defaultPrivileges) => {
  let database: TestDatabase;
  let functions: DatabaseFunction[];

  beforeAll(async () => {
    database = await TestDatabase.start({ defaultPrivileges, migrated: false });
    const bondhus = await database.owner<DatabaseFunction>(functionsInOurSchemas);
    await database.migrate();
    const all = await database.owner<DatabaseFunction>(functionsInOurSchemas);
    functions = all.filter(({ signature }) => !bondhus.some((known) => known.signature === signature));
  });
  afterAll(() => database.stop());

  async function as(role: string, sql: string): Promise<unknown> {
    const client = await database.connect(database.urls.authenticatorUrl);
    try {
      await client.query(`set role ${role}`);
      return await client.query(sql);
    } finally {
      client.release(true);
    }
  }

  const door = () => functions.filter(({ schema }) => schema === 'public');
  const inside = () => functions.filter(({ schema }) => schema === 'spotify_auth');

  test('the migrations add functions to both schemas', () => {
    expect(door().length).toBeGreaterThanOrEqual(7);
    expect(inside().length).toBeGreaterThanOrEqual(4);
  });

  test.each(['anon', 'authenticated'])('%s may call none of the functions', async (role) => {
    for (const { call } of functions) {
      await expect(as(role, call)).rejects.toMatchObject(refused);
    }
  });

  test('service_role may call the public functions, and none of the others', async () => {
    for (const { call } of door()) {
      // Nulls are refused by some functions, but as arguments and not for lack of a privilege.
      const code = await as('service_role', call).then(
        () => 'none',
        (error: { code: string }) => error.code,
      );
      expect(['none', '22023']).toContain(code);
    }
    for (const { call } of inside()) {
      await expect(as('service_role', call)).rejects.toMatchObject(refused);
    }
  });

  test.each(['anon', 'authenticated', 'service_role'])('%s reaches none of our tables', async (role) => {
    const tables = await database.owner<{ name: string }>(
      `select oid::regclass::text as name from pg_class where relnamespace = 'spotify_auth'::regnamespace and relkind in ('r', 'v', 'm')`,
    );
    expect(tables.length).toBeGreaterThanOrEqual(2);
    for (const { name } of tables) {
      await expect(as(role, `select * from ${name}`)).rejects.toMatchObject(refused);
      await expect(as(role, `delete from ${name}`)).rejects.toMatchObject(refused);
    }
  });

  test('not even the right to use the schema would open it', async () => {
    const rows = await database.owner(
      `select role, p.oid::regprocedure::text as object from unnest(array['anon', 'authenticated', 'service_role']) role, pg_proc p
        where p.pronamespace = 'spotify_auth'::regnamespace and has_function_privilege(role, p.oid, 'execute')
      union all
      select role, c.oid::regclass::text from unnest(array['anon', 'authenticated', 'service_role']) role, pg_class c
        where c.relnamespace = 'spotify_auth'::regnamespace and c.relkind = 'r'
          and has_table_privilege(role, c.oid, 'select, insert, update, delete, truncate, references, trigger')`,
    );
    expect(rows).toEqual([]);
  });

  test('every public function runs as its owner, and none of ours can be led astray', async () => {
    const settings = await database.owner<{
      signature: string;
      runsAsOwner: boolean;
      searchPath: string[];
    }>(
      `select oid::regprocedure::text as signature, prosecdef as "runsAsOwner",
        array(select setting from unnest(proconfig) setting where setting like 'search\\_path=%') as "searchPath"
      from pg_proc where oid::regprocedure::text = any ($1)`,
      [functions.map(({ signature }) => signature)],
    );

    expect(settings).toHaveLength(functions.length);
    expect(settings.filter(({ runsAsOwner }) => runsAsOwner).length).toBeGreaterThan(door().length);
    // pg_temp last, for what is not named is searched first: a caller's types would pass for those of pg_catalog.
    for (const { signature, searchPath } of settings) {
      expect([signature, searchPath]).toEqual([signature, ['search_path=pg_catalog, pg_temp']]);
    }
    expect(
      settings.filter(({ signature, runsAsOwner }) => !runsAsOwner && !signature.startsWith('spotify_auth.')),
    ).toEqual([]);
  });

  test('every function and every table says what it is for', async () => {
    const silent = await database.owner(
      `select oid::regprocedure::text from pg_proc p where oid::regprocedure::text = any ($1) and obj_description(oid, 'pg_proc') is null
      union all
      select oid::regclass::text from pg_class where relnamespace = 'spotify_auth'::regnamespace and relkind = 'r'
        and obj_description(oid, 'pg_class') is null`,
      [functions.map(({ signature }) => signature)],
    );
    expect(silent).toEqual([]);
  });

  test('a user still updates the own profile, tokens and all, and our queue follows', async () => {
    const user = await database.createUser();

    const updated = await database.asUser(
      user,
      `update public.profiles set full_name = 'Alice', spotify_access_token = 'a', spotify_refresh_token = 'r',
        spotify_token_expires_at = now() where id = $1 returning full_name`,
      [user],
    );

    expect(updated).toEqual([{ full_name: 'Alice' }]);
    expect(await database.connection(user)).toMatchObject({ due_at: expect.any(Date) });
  });
});
