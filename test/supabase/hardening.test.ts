import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { createClient, type SupabaseClient } from '@supabase/supabase-js';
import { runSql } from '../../stand-ins/supabase/postgres.ts';
import { type Supabase, startSupabase } from '../../stand-ins/supabase/server.ts';
import { refreshed, TestDatabase } from './database.ts';

const refused = { status: 403, error: { code: '42501' } };
const tokens = { spotify_access_token: 'access', spotify_refresh_token: 'refresh' };

describe.each(['old', 'new'] as const)('under the %s default privileges of Supabase', (defaultPrivileges) => {
  let database: TestDatabase;
  let supabase: Supabase;
  let backend: SupabaseClient;
  let visitor: SupabaseClient;
  let id: string;
  let user: SupabaseClient;
  let privilegesBefore: string[];

  beforeAll(async () => {
    // @supabase/lite prints every error that it answers with.
    jest.spyOn(console, 'error').mockImplementation(() => {});
    database = await TestDatabase.start({ defaultPrivileges });
    supabase = await startSupabase({ database: database.urls });
    backend = createClient(supabase.url, supabase.secretKey);
    visitor = createClient(supabase.url, supabase.publishableKey);
  });
  afterAll(async () => {
    await supabase?.stop();
    await database.stop();
  });

  beforeEach(async () => {
    id = await database.createUser({ access: 'access', refresh: 'refresh', expires: 60 });
    const token = await supabase.signUserToken({ sub: id });
    user = createClient(supabase.url, supabase.publishableKey, { accessToken: async () => token });
    privilegesBefore = await privileges();
    await run('hide_tokens.sql');
  });
  afterEach(() => run('show_tokens.sql'));

  async function run(script: string): Promise<void> {
    const sql = await readFile(new URL(`../../supabase/optional/${script}`, import.meta.url), 'utf8');
    await runSql(database.urls.ownerUrl, sql);
  }

  /** All privileges on the table and its columns. */
  async function privileges(): Promise<string[]> {
    const rows = await database.owner<{ privilege: string }>(
      `select acl::text as privilege from pg_class, unnest(relacl) acl where oid = 'public.profiles'::regclass
      union all
      select attname || ' ' || acl::text from pg_attribute, unnest(attacl) acl where attrelid = 'public.profiles'::regclass
      order by 1`,
    );
    return rows.map(({ privilege }) => privilege);
  }

  test('without it, a signed-in user reads and writes the own tokens', async () => {
    await run('show_tokens.sql');

    expect((await user.from('profiles').select('*')).data).toMatchObject([tokens]);
    expect(
      await user.from('profiles').update({ spotify_refresh_token: 'forged' }).eq('id', id),
    ).toMatchObject({
      error: null,
    });
    expect(await database.profile(id)).toMatchObject({ spotify_refresh_token: 'forged' });
  });

  test.each(Object.keys(tokens))('a signed-in user neither reads, writes nor searches %s', async (column) => {
    const profiles = () => user.from('profiles');

    expect(await profiles().select(column)).toMatchObject(refused);
    expect(await profiles().select('id').eq(column, 'refresh')).toMatchObject(refused);
    expect(
      await profiles()
        .update({ [column]: 'forged' })
        .eq('id', id),
    ).toMatchObject(refused);
    expect(
      await profiles()
        .update({ [column]: null })
        .eq('id', id),
    ).toMatchObject(refused);
    expect(await profiles().insert({ id, [column]: 'forged' })).toMatchObject(refused);
    expect(await database.profile(id)).toMatchObject(tokens);
  });

  test('reading every column, and having the changed row returned, is refused', async () => {
    await expect(database.asUser(id, 'select * from public.profiles')).rejects.toMatchObject({
      code: '42501',
    });
    await expect(
      database.asUser(id, "update public.profiles set full_name = 'Alice' returning *"),
    ).rejects.toMatchObject({ code: '42501' });
    expect(await user.from('profiles').select('*')).toMatchObject(refused);
    expect(await user.from('profiles').update({ full_name: 'Alice' }).eq('id', id).select()).toMatchObject(
      refused,
    );
  });

  test('everything else in the own profile is read and written as before', async () => {
    const update = await user
      .from('profiles')
      .update({ full_name: 'Alice', preferences: { mood: 'calm' } })
      .eq('id', id)
      .select('full_name, preferences, spotify_connected_at');

    expect(update).toMatchObject({
      error: null,
      data: [{ full_name: 'Alice', preferences: { mood: 'calm' }, spotify_connected_at: null }],
    });
  });

  test('a visitor gets nothing out of it', async () => {
    expect(await visitor.from('profiles').select('spotify_access_token')).toMatchObject({
      status: 401,
      error: { code: '42501' },
    });
  });

  test('the secret key keeps all it has', async () => {
    const update = await backend
      .from('profiles')
      .update({ spotify_access_token: 'another' })
      .eq('id', id)
      .select('*');
    expect(update.data).toMatchObject([{ ...tokens, spotify_access_token: 'another' }]);
  });

  test('status calls and sweeps work as before', async () => {
    const check = await backend.rpc('spotify_check_connection', {
      for_user: id,
      refresh_within: '5 minutes',
      lease: '15 seconds',
    });
    expect(check.data).toMatchObject({ state: 'leased', lease: { refresh_token: 'refresh' } });

    const { lease } = check.data;
    const recorded = await backend.rpc('spotify_record', {
      results: [{ ...lease, ...refreshed(lease, 'rotated') }],
    });
    expect(recorded.data.verdicts).toMatchObject([{ verdict: 'applied' }]);
    expect(await database.profile(id)).toMatchObject({ spotify_refresh_token: 'rotated' });
  });

  test('a user who signs up gets a profile, and an update of it still reaches the queue', async () => {
    const newcomer = await supabase.createUser(`${defaultPrivileges}@example.com`, 'correct horse');
    expect(await database.profile(newcomer)).toBeDefined();

    await user.from('profiles').update({ spotify_connected_at: '2026-11-01T00:00:00Z' }).eq('id', id);
    expect(await database.connection(id)).toMatchObject({ authorized_at: new Date('2026-11-01T00:00:00Z') });
  });

  test('a column that is added later is closed until it is granted', async () => {
    await database.owner('alter table public.profiles add column favourite_artist text');
    try {
      expect(await user.from('profiles').select('favourite_artist')).toMatchObject(refused);
      await database.owner(
        'grant select (favourite_artist), insert (favourite_artist), update (favourite_artist) on public.profiles to authenticated',
      );
      expect(await user.from('profiles').select('favourite_artist')).toMatchObject({ status: 200 });
    } finally {
      await database.owner('alter table public.profiles drop column favourite_artist');
    }
  });

  test('running it twice changes nothing more', async () => {
    const once = await privileges();
    await run('hide_tokens.sql');
    expect(await privileges()).toEqual(once);
    expect(once).not.toEqual(privilegesBefore);
  });

  test('undoing it leaves every privilege as it was', async () => {
    await run('show_tokens.sql');
    expect(await privileges()).toEqual(privilegesBefore);
  });

  test('a privilege that it cannot take away is reported, and nothing is changed', async () => {
    await run('show_tokens.sql');
    await database.owner('grant select on public.profiles to public');
    try {
      const before = await privileges();
      await expect(run('hide_tokens.sql')).rejects.toThrow('may still select the tokens');
      expect(await privileges()).toEqual(before);
    } finally {
      await database.owner('revoke select on public.profiles from public');
    }
  });
});
