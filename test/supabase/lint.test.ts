import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { lintMigration, lintText } from '../../supabase/lint.ts';

const directory = join(import.meta.dirname, '../../supabase');

/** Breaks no rule. */
const sound = `-- 2 of 3: an example.

begin;
set local lock_timeout = '2s';
set local search_path = pg_catalog, pg_temp;

create table public.example (id uuid primary key);
comment on table public.example is 'An example.';

create type public.pair as (one text, other text);
comment on type public.pair is 'A pair.';

create view public.ids with (security_invoker = true) as select id from public.example;
comment on view public.ids is
$$The ids.

  ID  it's a UUID$$;

create function public.count_ids() returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  -- It's not in UPPER case, nor is this: 'it''s TEXT'.
  return (select count(*) from public.ids where id::text <> 'NONE');
end;
$$;
revoke all on function
  public.count_ids() from public;
comment on function public.count_ids is 'Counts them.';

commit;
`;

/** Each breaks one rule, with the line where it is found. */
const breaches = [
  ['line-length', 11, { from: 'A pair.', to: `A pair that is ${'very, '.repeat(14)}well matched.` }],
  ['tab', 23, { from: '  return', to: '\treturn' }],
  ['trailing-blank', 7, { from: 'primary key);', to: 'primary key); ' }],
  ['lower-case', 7, { from: '(id uuid', to: '(id UUID' }],
  ['lower-case', 23, { from: 'return (select', to: 'return (SELECT' }],
  ['heading', 1, { from: '2 of 3', to: '1 of 3' }],
  ['heading', 1, { from: '2 of 3', to: '2 of 4' }],
  ['heading', 1, { from: '2 of 3', to: '2 of 1' }],
  ['heading', 1, { from: ' an example.', to: '' }],
  ['heading', 1, { from: '-- 2 of 3: an example.', to: '' }],
  ['transaction', 3, { from: 'begin;\nset', to: 'start transaction;\nset' }],
  ['lock-timeout', 4, { from: "'2s'", to: "'2h'" }],
  ['search-path', 5, { from: 'set local search_path = pg_catalog', to: 'set local search_path = public' }],
  ['commit', 30, { from: '\ncommit;', to: '\nrollback;' }],
  ['comment', 7, { from: 'comment on table public.example', to: 'comment on table public.examples' }],
  ['comment', 10, { from: 'comment on type public.pair', to: 'comment on table public.pair' }],
  ['comment', 13, { from: 'comment on view public.ids', to: 'comment on view public_ids' }],
  [
    'comment',
    19,
    { from: 'comment on function public.count_ids', to: '-- comment on function public.count_ids' },
  ],
  ['revoke', 19, { from: 'revoke all on function', to: 'revoke all on procedure' }],
  ['revoke', 19, { from: '  public.count_ids()', to: '  public.count_idle()' }],
] as const;

const found = (sql: string) => lintMigration(sql, 2, 3).map(({ rule, line }) => [rule, line]);

test('nothing is found in a sound migration', () => {
  expect(found(sound)).toEqual([]);
});

test.each(breaches)('%s is found in line %i', (rule, line, { from, to }) => {
  expect(sound.split(from)).toHaveLength(2);
  expect(found(sound.replace(from, to))).toEqual([[rule, line]]);
});

test('a comment or revoke that stands before its object is none', () => {
  const [create = '', revoke = ''] = [/create function.*?\n\$\$;\n/s, /revoke all.*?;\n/s].map(
    (pattern) => pattern.exec(sound)?.[0],
  );
  expect(found(sound.replace(revoke, '').replace(create, revoke + create))).toEqual([['revoke', 21]]);
});

test('a finding says what to do', () => {
  const { advice } = lintMigration(sound.replace('(id uuid', '(id UUID'), 2, 3)[0] ?? {};
  expect(advice).toBe('write uuid');
});

test('a published file keeps the number of files that there were', () => {
  expect(lintMigration(sound, 2, 4)).toEqual([]);
});

test('a file that is no migration needs no frame, but clean text', () => {
  expect(lintText('select 1;\n')).toEqual([]);
  expect(lintText('SELECT 1;\n')).toMatchObject([{ rule: 'lower-case', line: 1 }]);
});

describe('the files of this project', () => {
  const read = (folder: string) =>
    globSync(`${folder}/*.sql`, { cwd: directory })
      .sort()
      .map((name) => ({ name, sql: readFileSync(join(directory, name), 'utf8') }));
  const migrations = read('migrations').map((file, index) => ({ ...file, place: index + 1 }));

  test.each(migrations)('nothing is found in $name', ({ sql, place }) => {
    expect(lintMigration(sql, place, migrations.length)).toEqual([]);
  });

  test.each(read('optional'))('nothing is found in $name', ({ sql }) => {
    expect(lintText(sql)).toEqual([]);
  });
});
