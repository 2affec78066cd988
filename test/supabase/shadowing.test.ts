import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { runSql } from '../../stand-ins/supabase/postgres.ts';
import { Attacker, weapons } from './attacker.ts';
import { type Json, type LeaseRow, refreshed, TestDatabase } from './database.ts';

type DatabaseFunction = {
  readonly signature: string;
  readonly parameters: readonly { readonly name: string | null; readonly type: string }[];
  readonly defaults: number;
  /** How the attacker calls it: itself, or through a wrapper that has the owner's rights. */
  readonly entrance: string;
};

const ofOurs = `p.prokind = 'f' and (p.pronamespace = 'spotify_auth'::regnamespace
  or p.pronamespace = 'public'::regnamespace and p.proname like 'spotify\\_%')`;

/** A function's text as it is executed. */
const withoutComments = `regexp_replace(p.prosrc, '--[^\\n]*', '', 'g')`;

const expiring = { access: 'access', refresh: 'refresh', expires: 60, connectedAt: '2026-09-01' };

describe.each(weapons)('a user with $kind of its own in $schema', (weapon) => {
  let database: TestDatabase;
  let attacker: Attacker;
  let functions: DatabaseFunction[];
  let values: Json;

  beforeAll(async () => {
    database = await TestDatabase.start();
    attacker = await Attacker.enlist(database, { mayCreateInPublic: weapon.schema === 'public' });
    await runSql(
      database.urls.superuserUrl,
      'create policy "Users can insert own profile" on public.profiles for insert with check (auth.uid() = id)',
    );
    values = await createWork();
    functions = await openEveryFunction();
  });
  afterAll(async () => {
    await attacker?.leave();
    await database.stop();
  });

  /** Something to do for every function; returns the values of their parameters, by name or else by type. */
  async function createWork(): Promise<Json> {
    for (const number of [1, 2, 3]) await database.createUser({ ...expiring, refresh: `due-${number}` });
    const { claims } = await database.claim();
    const [leased, dead] = claims as [LeaseRow, LeaseRow];
    await database.record(dead, { outcome: 'revoked', used_refresh_token: dead.refresh_token });
    await database.letTimePass(dead.user_id, '8 days');

    for (const number of [1, 2, 3]) await database.createUser({ ...expiring, refresh: `free-${number}` });
    const [soonOver] = await database.owner<{ moment: string }>(
      `select (now() - interval '6 months' + interval '5 days')::text as moment`,
    );
    const connectedAt = soonOver?.moment ?? null;
    const noticed = await database.createUser({ ...expiring, refresh: 'noticed', connectedAt });
    const unknown = await database.createUser();
    await database.bypassingTriggers(
      `update public.profiles set spotify_access_token = 'access', spotify_refresh_token = 'unknown',
        spotify_token_expires_at = now() where id = $1`,
      [unknown],
    );

    return {
      results: JSON.stringify([{ ...leased, ...refreshed(leased, 'rotated') }]),
      events: JSON.stringify([{ kind: 'due', user_id: noticed, connected_at: connectedAt, days: 7 }]),
      for_user: claims[2]?.user_id,
      batch_size: 100,
      lease: '5 minutes',
      sweep_age: '0 seconds',
      grace: '1 day',
      change: 'held',
      uuid: noticed,
      'uuid[]': [unknown, noticed],
      interval: '40 minutes',
      integer: 10,
      bigint: 10,
      'double precision': 10,
      boolean: true,
      text: 'text',
      jsonb: '[]',
      'timestamp with time zone': '2026-01-01',
    };
  }

  /**
   * Lets the attacker execute everything. What does not run as the owner by itself it may call as if it were the owner,
   * as our own functions do, and without the search path that those set.
   */
  async function openEveryFunction(): Promise<DatabaseFunction[]> {
    const found = await database.owner<DatabaseFunction & { wrapper: string | null }>(
      `select p.oid::regprocedure::text as signature, p.pronargdefaults as defaults,
        (select coalesce(jsonb_agg(jsonb_build_object('name', p.proargnames[position], 'type', format_type(type, null)) order by position), '[]')
          from unnest(p.proargtypes::oid[]) with ordinality argument (type, position)) as parameters,
        case when p.prosecdef then p.oid::regproc::text else format('owners_door.%I', p.proname) end as entrance,
        case when not p.prosecdef then format(
          'create function owners_door.%I(%s) returns %s language sql security definer begin atomic select %s(%s); end',
          p.proname, pg_get_function_identity_arguments(p.oid), pg_get_function_result(p.oid), p.oid::regproc,
          (select string_agg('$' || position, ', ') from generate_series(1, p.pronargs) position)) end as wrapper
      from pg_proc p where ${ofOurs} and p.prorettype <> 'trigger'::regtype order by 1`,
    );
    await runSql(
      database.urls.ownerUrl,
      `create schema owners_door; ${found.map(({ wrapper }) => wrapper ?? '').join(';')}`,
    );
    await runSql(
      database.urls.superuserUrl,
      `grant usage on schema spotify_auth, owners_door to attacker;
      grant execute on all functions in schema public, spotify_auth, owners_door to attacker`,
    );
    return found;
  }

  /** Each function with only the arguments that it needs, and with all. */
  function calls(): { name: string; sql: string; values: unknown[] }[] {
    return functions.flatMap(({ signature, parameters, defaults, entrance }) =>
      [...new Set([parameters.length - defaults, parameters.length])].map((count) => ({
        name: `${signature} with ${count}`,
        sql: `select ${entrance}(${parameters.slice(0, count).map((_, index) => `$${index + 1}`)}) as result`,
        values: parameters
          .slice(0, count)
          .map(({ name, type }) => values[name ?? type] ?? values[type] ?? null),
      })),
    );
  }

  test('the weapon is sharp: a function of the owner that is not on its guard is hit', async () => {
    await runSql(
      database.urls.ownerUrl,
      `create function owners_door.unguarded(word pg_catalog.text) returns pg_catalog.bool language plpgsql security definer as $$
        begin return octet_length(word) <> 7 and 'word'::text is not null and exists (select from pg_class); end $$;
      grant execute on function owners_door.unguarded to attacker`,
    );
    const session = await attacker.connectArmed(weapon);

    expect(await session.tryOut('select owners_door.unguarded($1) as result', ['word'])).toEqual({
      result: true,
    });
    expect(session.takeRightsOfOthers()).toEqual(['ran as postgres']);
  });

  test.each([
    [
      'inserts',
      'insert into public.profiles (spotify_access_token, spotify_refresh_token, spotify_token_expires_at, spotify_connected_at, id) values ($1, $2, $3, $4, $5)',
    ],
    [
      'updates',
      'update public.profiles set spotify_access_token = $1, spotify_refresh_token = $2, spotify_token_expires_at = $3, spotify_connected_at = $4 where id = $5',
    ],
  ])('%s the own profile: none of it runs as another role, and our queue follows', async (verb, write) => {
    if (verb === 'inserts') {
      await database.owner('delete from public.profiles where id = $1', [attacker.userId]);
    }
    const session = await attacker.connectArmed(weapon);
    const expiry = new Date(Date.now() + 50 * 60_000);

    const result = await session
      .query(`${write} returning id`, ['access', verb, expiry, '2026-09-02', attacker.userId])
      .catch((error: Error) => error.message);

    expect(session.takeRightsOfOthers()).toEqual([]);
    expect(result).toEqual([{ id: attacker.userId }]);
    expect(await database.connection(attacker.userId)).toMatchObject({
      expires_at: expiry,
      due_at: expiry,
      authorized_at: new Date('2026-09-02T00:00:00Z'),
    });
  });

  test('calls each of our functions: none of it runs as another role, and each does what it should', async () => {
    const peaceful = await attacker.connect();
    const armed = await attacker.connectArmed(weapon);
    const expected: Json = {};
    const actual: Json = {};
    const runAsOthers: Json = {};

    for (const { name, sql, values } of calls()) {
      expected[name] = shapeOf(await peaceful.tryOut(sql, values));
      actual[name] = shapeOf(await armed.tryOut(sql, values));
      const rights = armed.takeRightsOfOthers();
      if (rights.length > 0) runAsOthers[name] = rights;
    }

    expect(Object.keys(expected).length).toBeGreaterThanOrEqual(15);
    expect(Object.entries(expected).filter(([, outcome]) => (outcome as Json)['code'])).toEqual([]);
    expect(runAsOthers).toEqual({});
    expect(actual).toEqual(expected);
  });
});

describe('what the catalogs say', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await TestDatabase.start();
  });
  afterAll(() => database.stop());

  test('each of our functions searches pg_catalog first and pg_temp last, and nothing else', async () => {
    const functions = await database.owner<{ signature: string; settings: string[] | null }>(
      `select p.oid::regprocedure::text as signature, p.proconfig as settings from pg_proc p where ${ofOurs}`,
    );
    const pathOf = (settings: string[] | null) =>
      settings?.find((setting) => setting.startsWith('search_path=')) ?? 'none';

    expect(functions.length).toBeGreaterThanOrEqual(15);
    expect(
      functions
        .map(({ signature, settings }) => `${signature}: ${pathOf(settings)}`)
        .filter((line) => !line.endsWith(': search_path=pg_catalog, pg_temp')),
    ).toEqual([]);
  });

  test('none of our functions is an aggregate or a procedure, which these tests would skip', async () => {
    const others = await database.owner(
      `select p.oid::regprocedure from pg_proc p where p.prokind <> 'f'
        and (p.pronamespace = 'spotify_auth'::regnamespace or p.pronamespace = 'public'::regnamespace and p.proname like 'spotify\\_%')`,
    );
    expect(others).toEqual([]);
  });

  test('none of our functions builds and runs SQL', async () => {
    const dynamic = await database.owner(
      `select p.oid::regprocedure from pg_proc p join pg_language l on l.oid = p.prolang
        where ${ofOurs} and l.lanname = 'plpgsql' and ${withoutComments} ~* '\\mexecute\\M'`,
    );
    expect(dynamic).toEqual([]);
  });

  test('each of our functions names the schema of every table and view that it reads or writes', async () => {
    const unqualified = await database.owner(
      `select p.oid::regprocedure, c.relname from pg_proc p, pg_class c
        where ${ofOurs} and p.prosqlbody is null and c.relkind in ('r', 'v', 'm')
          and c.relnamespace::regnamespace::text in ('public', 'spotify_auth', 'auth')
          and ${withoutComments} ~* ('\\m(from|join|update|insert\\s+into)\\s+(only\\s+)?' || c.relname || '\\M(?!\\.)')`,
    );
    expect(unqualified).toEqual([]);
  });

  test('none of our objects uses types, functions or operators that another role could have created', async () => {
    const foreign = await database.owner(
      `with of_ours (class, id) as (
        select 'pg_proc'::regclass::oid, p.oid from pg_proc p where ${ofOurs}
        union all select 'pg_class'::regclass, oid from pg_class where relnamespace = 'spotify_auth'::regnamespace
        union all select 'pg_type'::regclass, oid from pg_type where typnamespace = 'spotify_auth'::regnamespace
        union all select 'pg_constraint'::regclass, oid from pg_constraint where connamespace = 'spotify_auth'::regnamespace
        union all select 'pg_attrdef'::regclass, d.oid from pg_attrdef d join pg_class c on c.oid = d.adrelid
          where c.relnamespace = 'spotify_auth'::regnamespace
        union all select 'pg_rewrite'::regclass, r.oid from pg_rewrite r join pg_class c on c.oid = r.ev_class
          where c.relnamespace = 'spotify_auth'::regnamespace
        union all select 'pg_trigger'::regclass, t.oid from pg_trigger t join pg_proc p on p.oid = t.tgfoid where ${ofOurs}
      )
      select pg_describe_object(d.classid, d.objid, 0) as object, pg_describe_object(d.refclassid, d.refobjid, 0) as depends_on
      from of_ours join pg_depend d on d.classid = class and d.objid = id
        left join pg_proc f on d.refclassid = 'pg_proc'::regclass and f.oid = d.refobjid
        left join pg_type t on d.refclassid = 'pg_type'::regclass and t.oid = d.refobjid
        left join pg_operator o on d.refclassid = 'pg_operator'::regclass and o.oid = d.refobjid
      where d.deptype = 'n' and coalesce(f.pronamespace, t.typnamespace, o.oprnamespace)::regnamespace::text not in ('pg_catalog', 'spotify_auth')
        and not exists (select from pg_proc p where p.oid = f.oid and ${ofOurs})`,
    );
    expect(foreign).toEqual([]);
  });

  test('the owner of the profiles owns all our objects, and no other role can add to them', async () => {
    const others = await database.owner(
      `with owned as (
        select p.oid::regprocedure::text as object, p.proowner as owner from pg_proc p where ${ofOurs}
        union all select oid::regclass::text, relowner from pg_class where relnamespace = 'spotify_auth'::regnamespace
        union all select 'spotify_auth', nspowner from pg_namespace where nspname = 'spotify_auth')
      select object from owned where owner <> (select relowner from pg_class where oid = 'public.profiles'::regclass)
      union all
      select rolname || ' may create in spotify_auth' from pg_roles
        where has_schema_privilege(oid, 'spotify_auth', 'create') and not rolsuper
          and oid <> (select relowner from pg_class where oid = 'public.profiles'::regclass)`,
    );
    expect(others).toEqual([]);
  });

  test('inserting and updating a profile triggers our functions, which run as the owner', async () => {
    const triggers = await database.owner<{ event: string }>(
      `select distinct event from pg_trigger t join pg_proc p on p.oid = t.tgfoid,
          lateral (values (4, 'insert'), (16, 'update')) kind (bit, event)
        where t.tgrelid = 'public.profiles'::regclass and ${ofOurs} and p.prosecdef and t.tgtype & bit <> 0 order by 1`,
    );
    expect(triggers).toEqual([{ event: 'insert' }, { event: 'update' }]);
  });
});

/** What two calls that do the same have in common: all but times, numbers and ids. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf);
  if (value instanceof Date) return 'a time';
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, shapeOf(each)]));
  }
  if (typeof value === 'string')
    return /^[a-z][a-z_-]*\d?$/.test(value) || /^[0-9A-Z]{5}$/.test(value) ? value : 'a string';
  return typeof value === 'number' ? 'a number' : value;
}
