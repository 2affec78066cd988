import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { type BondhuDatabase, createBondhuDatabase } from '../../../stand-ins/supabase/bondhu-database.ts';
import {
  type Postgres,
  settingsWithoutDurability,
  startPostgres,
} from '../../../stand-ins/supabase/postgres.ts';

const aliceId = '00000000-0000-4000-8000-00000000000a';
const bobId = '00000000-0000-4000-8000-00000000000b';

let postgres: Postgres;

beforeAll(async () => {
  postgres = await startPostgres({ inMemory: true, settings: settingsWithoutDurability });
});

afterAll(() => postgres.stop());

async function query(url: string, text: string, values: unknown[] = []) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await client.query(text, values);
  } finally {
    await client.end();
  }
}

async function queryAsUser(database: BondhuDatabase, userId: string, text: string) {
  const client = new pg.Client({ connectionString: database.authenticatorUrl });
  await client.connect();
  try {
    await client.query('set role authenticated');
    await client.query(`select set_config('request.jwt.claims', $1, false)`, [
      JSON.stringify({ sub: userId }),
    ]);
    return await client.query(text);
  } finally {
    await client.end();
  }
}

describe('the stand-in for Bondhu', () => {
  let database: BondhuDatabase;

  beforeAll(async () => {
    database = await createBondhuDatabase(postgres, { name: 'bondhu' });
    await query(
      database.ownerUrl,
      `insert into auth.users (id, email, raw_user_meta_data)
       values ($1, 'alice@example.com', '{"full_name": "Alice"}'), ($2, 'bob@example.com', '{}')`,
      [aliceId, bobId],
    );
  });

  test('a sign-up creates the profile', async () => {
    const { rows } = await query(database.serviceRoleUrl, 'select id, full_name from profiles order by id');
    expect(rows).toEqual([
      { id: aliceId, full_name: 'Alice' },
      { id: bobId, full_name: null },
    ]);
  });

  test('users see and change their own profile only', async () => {
    const seen = await queryAsUser(database, aliceId, 'select id from profiles');
    const changed = await queryAsUser(
      database,
      aliceId,
      `update profiles set spotify_user_id = 'alice' returning id, updated_at > created_at as touched`,
    );

    expect(seen.rows).toEqual([{ id: aliceId }]);
    expect(changed.rows).toEqual([{ id: aliceId, touched: true }]);
  });

  test('no signed-in user is turned away', async () => {
    await expect(
      query(database.authenticatorUrl, 'set role anon; select * from profiles'),
    ).rejects.toMatchObject({ code: '42501' });
  });

  test('deleting the user deletes the profile', async () => {
    await query(database.ownerUrl, 'delete from auth.users where id = $1', [bobId]);
    const { rowCount } = await query(database.ownerUrl, 'select from profiles where id = $1', [bobId]);
    expect(rowCount).toBe(0);
  });

  test('the owner is no superuser, and service_role runs under eight seconds', async () => {
    const owner = await query(database.ownerUrl, 'show is_superuser');
    const service = await query(
      database.serviceRoleUrl,
      `select current_user, current_setting('statement_timeout')`,
    );
    expect(owner.rows).toEqual([{ is_superuser: 'off' }]);
    expect(service.rows).toEqual([{ current_user: 'service_role', current_setting: '8s' }]);
  });
});

describe.each([
  { defaultPrivileges: 'old', exposed: true },
  { defaultPrivileges: 'new', exposed: false },
] as const)('under the $defaultPrivileges default privileges', ({ defaultPrivileges, exposed }) => {
  test(`what the owner creates is ${exposed ? 'open' : 'closed'} to the API roles`, async () => {
    const database = await createBondhuDatabase(postgres, {
      name: `bondhu_${defaultPrivileges}`,
      defaultPrivileges,
    });

    const { rows } = await query(
      database.ownerUrl,
      `create table public.invented ();
       create function public.invented() returns int language sql as 'select 1';
       revoke execute on function public.invented() from public;
       select role, has_table_privilege(role, 'public.invented', 'select') as reads,
         has_function_privilege(role, 'public.invented()', 'execute') as executes
       from unnest(array['anon', 'authenticated', 'service_role']) as role`,
    ).then((results) => (results as unknown as pg.QueryResult[])[3] ?? { rows: [] });

    expect(rows).toEqual(
      ['anon', 'authenticated', 'service_role'].map((role) => ({ role, reads: exposed, executes: exposed })),
    );
  });
});
