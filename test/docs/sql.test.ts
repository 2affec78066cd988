import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { TestDatabase } from '../supabase/database.ts';
import { codeBlocksOf } from './markdown.ts';

const root = join(import.meta.dirname, '../..');
const runbook = readFileSync(join(root, 'docs/runbook.md'), 'utf8');
const deploy = readFileSync(join(root, 'docs/deploy.md'), 'utf8');
const statements = codeBlocksOf(runbook, 'sql').flatMap((block) => block.match(/[^;]+;/g) ?? []);

let database: TestDatabase;
let user: string;

beforeAll(async () => {
  database = await TestDatabase.start();
  user = await database.createUser({ access: 'access', refresh: 'refresh', expires: -60 });
});
afterAll(() => database.stop());

test('the runbook shows SQL', () => {
  expect(statements.length).toBeGreaterThan(2);
});

test.each(statements)('the database takes it, as it is pasted: %s', async (statement) => {
  await expect(database.owner(statement.replace('<user-id>', user))).resolves.toBeDefined();
});

test('the statement that looks for expired tokens finds them', async () => {
  const [expired = ''] = statements.filter((statement) => statement.includes('expires_at <= now()'));
  expect(await database.owner(expired)).toMatchObject([{ user_id: user }]);
});

describe("Bondhu's own migrations, as docs/deploy.md describes them", () => {
  const [changeOfType = '', emptyQueue = ''] = codeBlocksOf(deploy, 'sql');
  const readColumns = /`alter column ... type` \| (.+?) \|/.exec(deploy)?.[1]?.match(/\w+/g) ?? [];

  test('the columns that are said to be read are those that the views read', async () => {
    const columns = await database.owner<{ column_name: string }>(
      `select column_name from information_schema.view_column_usage
       where view_schema = 'spotify_auth' and table_name = 'profiles'`,
    );
    expect([...readColumns].sort()).toEqual(columns.map(({ column_name }) => column_name).sort());
  });

  test.each(readColumns)('%s can be neither changed nor dropped meanwhile', async (column) => {
    const change = `alter table public.profiles alter column ${column} type varchar using ${column}::varchar`;
    await expect(database.owner(change)).rejects.toMatchObject({ code: '0A000' });
    await expect(database.owner(`alter table public.profiles drop column ${column}`)).rejects.toMatchObject({
      code: '2BP01',
    });
  });

  test('the primary key cannot be dropped', async () => {
    await expect(
      database.owner('alter table public.profiles drop constraint profiles_pkey'),
    ).rejects.toMatchObject({ code: '2BP01' });
  });

  test('a type is changed as shown, and connections are followed and refreshed as before', async () => {
    await database.owner(
      changeOfType
        .replace(/^-- Here, from .*following_profiles.*$/m, () =>
          statementsOf('following_profiles', /^create view.*?\n\n/gms),
        )
        .replace(/^-- Here, from .*_profiles\.sql: both `create trigger`.*$/m, () =>
          statementsOf('001200_profiles', /^create trigger.*?;/gms),
        ),
    );
    const [column] = await database.owner(
      `select character_maximum_length from information_schema.columns
       where table_name = 'profiles' and column_name = 'spotify_user_email'`,
    );
    expect(column).toEqual({ character_maximum_length: 320 });

    const late = await database.createUser({ access: 'access', refresh: 'other', expires: -60 });
    const { claims } = await database.claim();
    expect(claims.map(({ user_id }: { user_id: string }) => user_id)).toContain(late);
    await expect(database.asUser(late, 'select from spotify_auth.safe_profiles')).rejects.toMatchObject({
      code: '42501',
    });
  });

  test('an emptied queue is filled again', async () => {
    for (const statement of emptyQueue.match(/[^;]+;/g) ?? []) await database.owner(statement);
    expect(await database.owner('select from spotify_auth.connections')).toEqual([]);

    await database.owner('select public.spotify_reconcile(100)');

    expect(await database.owner('select user_id from spotify_auth.connections')).toContainEqual({
      user_id: user,
    });
  });
});

/** What stands in a migration, by a part of its file's name. */
function statementsOf(migration: string, pattern: RegExp): string {
  const directory = join(root, 'supabase/migrations');
  const name = readdirSync(directory).find((file) => file.includes(migration)) ?? '';
  return readFileSync(join(directory, name), 'utf8').match(pattern)?.join('\n') ?? '';
}
