import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import {
  applyMigrations,
  type BondhuDatabase,
  bondhuDatabaseOn,
  createBondhuDatabase,
} from '../../stand-ins/supabase/bondhu-database.ts';
import {
  type Postgres,
  runSql,
  settingsWithoutDurability,
  startPostgres,
} from '../../stand-ins/supabase/postgres.ts';
import { type Json, type LeaseRow, refreshed, TestDatabase } from './database.ts';
import { splitStatements } from './split-statements.ts';

const directory = new URL('../../supabase/migrations/', import.meta.url);
const migrations = readdirSync(directory)
  .filter((name) => name.endsWith('.sql'))
  .sort()
  .map((name, index) => ({ name, index, sql: readFileSync(new URL(name, directory), 'utf8') }));

const expiring = { access: 'access', refresh: 'refresh', expires: 60, connectedAt: '2026-09-01' };

/** The SQLSTATE that a promise was rejected with, an own one of this test's if there is none, or `done`. */
async function outcomeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'done';
  } catch (error) {
    return (error as { code?: string }).code ?? ((error as Error).cause as { code?: string })?.code ?? 'none';
  }
}

/** Reads on a connection of its own, which sees only what is committed. */
async function select<Row extends object>(url: string, sql: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(sql)).rows;
  } finally {
    await client.end();
  }
}

/** Everything that a migration could leave behind, in words that change when it does. */
async function inventory(reader: pg.ClientBase): Promise<string[]> {
  const { rows } = await reader.query<{ object: string }>(
    `with ours as materialized (select oid from pg_namespace where nspname !~ '^pg_|information_schema')
    select 'schema ' || nspname || ' ' || coalesce(nspacl::text, '') as object from pg_namespace where nspname !~ '^pg_'
    union all select 'function ' || oid::regprocedure || ' ' || md5(pg_get_functiondef(oid)) || ' ' || coalesce(proacl::text, '')
      from pg_proc where prokind = 'f' and pronamespace in (select oid from ours)
    union all select 'relation ' || oid::regclass || ' ' || coalesce(relacl::text, '') || ' ' || coalesce(reloptions::text, '')
      from pg_class where relnamespace in (select oid from ours)
    union all select 'column ' || attrelid::regclass || ' ' || attname || ' ' || format_type(atttypid, atttypmod)
      from pg_attribute join pg_class c on c.oid = attrelid
      where relnamespace in (select oid from ours) and attnum > 0 and not attisdropped
    union all select 'constraint ' || conrelid::regclass || ' ' || pg_get_constraintdef(oid) from pg_constraint where conrelid <> 0
    union all select 'trigger ' || pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
    union all select 'policy ' || polrelid::regclass || ' ' || polname from pg_policy
    union all select 'comment ' || pg_describe_object(classoid, objoid, objsubid) || ' ' || md5(description) from pg_description
      where classoid <> 'pg_language'::regclass and objoid >= 16384
    order by 1`,
  );
  return rows.map(({ object }) => object);
}

describe('a migration waits for nobody', () => {
  let database: TestDatabase;

  afterEach(() => database.stop());

  /** Before the migration of this index; ends a migration that would wait for ever. */
  async function startBefore(index: number): Promise<string> {
    database = await TestDatabase.start({ migrated: false });
    for (const { sql } of migrations.slice(0, index)) await runSql(database.urls.ownerUrl, sql);
    const url = new URL(database.urls.ownerUrl);
    const options = url.searchParams.get('options') ?? '';
    url.searchParams.set('options', `${options} -c statement_timeout=20s`.trim());
    return url.href;
  }

  async function inventoryNow(): Promise<string[]> {
    const client = await database.connect(database.urls.ownerUrl);
    try {
      return await inventory(client);
    } finally {
      client.release();
    }
  }

  function triggersOnProfiles(): Promise<Json[]> {
    return database.owner(
      `select tgname from pg_trigger where tgrelid = 'public.profiles'::regclass and tgname like 'spotify_auth_%'`,
    );
  }

  /** Returns once a session waits for a lock, or the work is over. */
  async function untilSomebodyWaits(work: Promise<unknown>): Promise<void> {
    let isOver = false;
    void work.finally(() => {
      isOver = true;
    });
    for (;;) {
      const waiting = await database.owner(
        'select from pg_locks l join pg_database d on d.oid = l.database where datname = current_database() and not granted',
      );
      if (isOver || waiting.length > 0) return;
    }
  }

  async function writeAsUsers(users: readonly string[]): Promise<string[]> {
    return Promise.all(
      users.map((user) =>
        outcomeOf(
          database.asUser(user, `update public.profiles set spotify_access_token = 'new' where id = $1`, [
            user,
          ]),
        ),
      ),
    );
  }

  test.each(migrations)(
    'behind an idle writer, $name gives up or has nothing to wait for, and users write on',
    async ({ index, sql }) => {
      const url = await startBefore(index);
      const [first, ...others] = [
        await database.createUser(expiring),
        await database.createUser(),
        await database.createUser(),
      ];
      const before = await inventoryNow();
      const idle = await database.hold(
        `update public.profiles set spotify_access_token = 'idle' where id = $1`,
        [first],
      );

      const applying = outcomeOf(runSql(url, sql));
      await untilSomebodyWaits(applying);
      const writes = await writeAsUsers(others);

      const outcome = await applying;
      expect(['done', '55P03']).toContain(outcome);
      expect(writes).toEqual(others.map(() => 'done'));
      if (outcome !== 'done') {
        expect(await inventoryNow()).toEqual(before);
        await idle.commit();
        await runSql(url, sql);
      }
    },
  );

  test('behind an idle writer, the migrations give up with 55P03 at the file that needs the table, and go on after it', async () => {
    const url = await startBefore(0);
    const user = await database.createUser();
    const idle = await database.hold(
      `update public.profiles set spotify_access_token = 'idle' where id = $1`,
      [user],
    );

    expect(await outcomeOf(applyMigrations(url))).toBe('55P03');

    expect(await triggersOnProfiles()).toEqual([]);
    await idle.commit();
    await runSql(url, migrations.at(-1)?.sql ?? '');
    expect(await triggersOnProfiles()).toHaveLength(2);
    expect(await database.call('spotify_connection_stats')).toMatchObject({ connected: 0 });
  });
});

/** Applies one file on a connection and returns the SQLSTATEs of what failed. */
type Way = (client: pg.Client, sql: string, between: () => Promise<void>) => Promise<string[]>;

const statementByStatement: Way = async (client, sql, between) => {
  const failures: string[] = [];
  for (const statement of splitStatements(sql)) {
    failures.push(await outcomeOf(client.query(statement)));
    await between();
  }
  return failures.filter((failure) => failure !== 'done');
};

const asOneText: Way = async (client, sql) =>
  [await outcomeOf(client.query(sql))].filter((failure) => failure !== 'done');

const withinATransaction =
  (way: Way): Way =>
  async (client, sql, between) => {
    await client.query('begin');
    const failures = await way(client, sql, between);
    const commit = await outcomeOf(client.query('commit'));
    return [...failures, commit].filter((failure) => failure !== 'done');
  };

/** psql -f; the dashboard's SQL editor; tools that wrap each file in their own transaction, in either way. */
const ways: Readonly<Record<string, Way>> = {
  'statement by statement, whatever fails': statementByStatement,
  'as one text': asOneText,
  'statement by statement within a transaction': withinATransaction(statementByStatement),
  'as one text within a transaction': withinATransaction(asOneText),
};

const eachFileInEachWay = migrations.flatMap((migration) =>
  Object.entries(ways).map(([how, way]) => ({ ...migration, how, way })),
);

describe('a migration happens as a whole or not at all', () => {
  let postgres: Postgres;
  let urls: BondhuDatabase;
  /** Reads on a connection of its own, which sees only what is committed. */
  let reader: pg.Client;
  /** Lets commands fail, as the superuser. */
  let saboteur: pg.Client;
  const commands: number[] = [];

  beforeAll(async () => {
    postgres = await startPostgres({ inMemory: true, settings: settingsWithoutDurability });
    await createBondhuDatabase(postgres, { name: templateBefore(0), defaultPrivileges: 'old' });
    for (const { index, sql } of migrations) {
      await runSql((await copyOf(templateBefore(index), templateBefore(index + 1))).ownerUrl, sql);
    }
    await createDatabaseBefore(0);
    await watchCommands();
    for (const { sql } of migrations) {
      await failAtCommand(0);
      await reader.query(sql);
      commands.push(await commandsSoFar());
    }
  });
  afterAll(async () => {
    await Promise.all([reader.end(), saboteur.end()]);
    await postgres.stop();
  });

  /** Creates a database with the migrations before this one: a copy of one that is kept for it. */
  async function createDatabaseBefore(index: number): Promise<void> {
    await Promise.all([reader?.end(), saboteur?.end()]);
    await runSql(postgres.url, 'drop database if exists bondhu with (force)');
    urls = await copyOf(templateBefore(index), 'bondhu');
    reader = new pg.Client({ connectionString: urls.ownerUrl });
    saboteur = new pg.Client({ connectionString: urls.superuserUrl });
    await Promise.all([reader.connect(), saboteur.connect()]);
  }

  function templateBefore(index: number): string {
    return `before_${index}`;
  }

  async function copyOf(template: string, name: string): Promise<BondhuDatabase> {
    await runSql(
      postgres.url,
      `create database ${name} template ${template} owner postgres strategy file_copy`,
    );
    return bondhuDatabaseOn(postgres, name);
  }

  /** Counts every command that changes the schema, wherever it stands in a file, and lets one of them fail. */
  async function watchCommands(): Promise<void> {
    await saboteur.query(
      `create schema faults;
      create sequence faults.commands minvalue 0;
      create table faults.failing as select 0 as command;
      create function faults.count_command() returns event_trigger language plpgsql security definer as $$
      begin
        if nextval('faults.commands') = (select command from faults.failing) then raise exception 'an injected fault'; end if;
      end $$;
      create event trigger count_commands on ddl_command_end execute function faults.count_command()`,
    );
  }

  async function failAtCommand(command: number): Promise<void> {
    await saboteur.query(
      `select setval('faults.commands', 0); update faults.failing set command = ${command}`,
    );
  }

  async function commandsSoFar(): Promise<number> {
    const { rows } = await saboteur.query<{ commands: number }>(
      'select last_value::int as commands from faults.commands',
    );
    return rows[0]?.commands ?? 0;
  }

  /** Applies a file on a connection that is closed afterwards, as a tool that ends. */
  async function apply(way: Way, sql: string, between = async () => {}): Promise<string[]> {
    const client = new pg.Client({ connectionString: urls.ownerUrl });
    await client.connect();
    try {
      return await way(client, sql, between);
    } finally {
      await client.end();
    }
  }

  /** Collects what the API's roles could execute, had they called at that moment. */
  async function watchExposure(): Promise<{ exposed: string[]; between: () => Promise<void> }> {
    const find = async () => {
      const { rows } = await reader.query<{ exposed: string }>(
        `select role || ' executes ' || oid::regprocedure as exposed from pg_proc, unnest(array['anon', 'authenticated']) role
        where pronamespace in (select oid from pg_namespace where nspname in ('public', 'spotify_auth')) and prorettype <> 'trigger'::regtype
          and has_schema_privilege(role, pronamespace, 'usage') and has_function_privilege(role, oid, 'execute')`,
      );
      return rows.map(({ exposed }) => exposed);
    };
    const bondhus = await find();
    const exposed: string[] = [];
    return {
      exposed,
      between: async () => {
        exposed.push(...(await find()).filter((each) => !bondhus.includes(each)));
      },
    };
  }

  test.each(eachFileInEachWay)('$name, applied $how', async ({ index, sql, way }) => {
    await createDatabaseBefore(index);
    const { exposed, between } = await watchExposure();

    expect(await apply(way, sql, between)).toEqual([]);

    expect(exposed).toEqual([]);
    for (const rest of migrations.slice(index + 1)) await reader.query(rest.sql);
    expect(
      await select(
        urls.serviceRoleUrl,
        `select public.spotify_connection_stats() ->> 'connected' as connected`,
      ),
    ).toEqual([{ connected: '0' }]);
  });

  test.each(eachFileInEachWay)(
    '$name, applied $how, where something in it fails',
    async ({ index, sql, way }) => {
      await createDatabaseBefore(index);
      await watchCommands();
      const { exposed, between } = await watchExposure();
      const before = await inventory(reader);
      const count = commands[index] as number;
      // The short files have some of these places twice.
      const places = new Set([
        1,
        2,
        Math.ceil(count / 3),
        Math.ceil(count / 2),
        Math.ceil((2 * count) / 3),
        count - 1,
        count,
      ]);

      for (const place of places) {
        await failAtCommand(place);
        const failures = await apply(way, sql, between);

        expect(failures[0]).toBe('P0001');
        expect({ place, left: difference(before, await inventory(reader)) }).toEqual({
          place,
          left: [],
        });
      }
      expect(exposed).toEqual([]);
    },
  );

  /** What Bondhu may have already; each is in the way of one statement only. */
  const conflicts = {
    'a function of that name that returns something else': `
      create function public.spotify_record(results jsonb) returns text language sql as $$ select 'Bondhu''s' $$`,
    'a schema of that name with a table of that name': `
      create schema spotify_auth; create table spotify_auth.connections (id integer)`,
    'a trigger of that name': migrations
      .flatMap(({ sql }) => [...sql.matchAll(/create (?:or replace )?trigger\s+(\w+)/g)])
      .slice(-1)
      .map(
        ([, name]) =>
          `create trigger ${name} after update on public.profiles execute function public.set_updated_at()`,
      )
      .join(';'),
  };

  test.each(
    Object.entries(conflicts).flatMap(([what, conflict]) =>
      Object.entries(ways).map(([how, way]) => ({ what, conflict, how, way })),
    ),
  )('applied $how, where there is $what', async ({ conflict, way }) => {
    await createDatabaseBefore(0);
    await runSql(urls.ownerUrl, conflict);
    const { exposed, between } = await watchExposure();
    let before: string[] = [];
    let failures: string[] = [];

    for (const { sql } of migrations) {
      before = await inventory(reader);
      failures = await apply(way, sql, between);
      if (failures.length > 0) break;
    }

    expect(failures).not.toEqual([]);
    expect(difference(before, await inventory(reader))).toEqual([]);
    expect(exposed).toEqual([]);
  });

  function difference(before: readonly string[], after: readonly string[]): string[] {
    return [
      ...before.filter((object) => !after.includes(object)).map((object) => `gone: ${object}`),
      ...after.filter((object) => !before.includes(object)).map((object) => `left: ${object}`),
    ];
  }
});

describe('the one row that all connections share', () => {
  let database: TestDatabase;
  let table: string;
  let row: Json;

  beforeAll(async () => {
    database = await TestDatabase.start();
    const [found] = await database.owner<{ name: string }>(
      `select coalesce(to_regclass('spotify_auth.shared_state'), to_regclass('spotify_auth.service'))::text as name`,
    );
    table = found?.name ?? '';
    await database.call('spotify_connection_stats');
    row =
      (await database.owner<{ row: Json }>(`select to_jsonb(shared) as row from ${table} shared`))[0]?.row ??
      {};
  });
  afterAll(() => database.stop());
  beforeEach(async () => {
    await database.owner(`delete from ${table}`);
    await database.owner(`insert into ${table} select * from jsonb_populate_record(null::${table}, $1)`, [
      row,
    ]);
    await database.clear();
  });

  async function loseRow(): Promise<void> {
    await database.owner(`delete from ${table}`);
  }

  /** What is left of our tables after a copy of the schema without its data. */
  async function loseEverything(): Promise<void> {
    await database.owner(
      `do $$ begin execute (select 'truncate ' || string_agg(oid::regclass::text, ', ') from pg_class
        where relnamespace = 'spotify_auth'::regnamespace and relkind = 'r'); end $$`,
    );
  }

  async function reconcileAll(): Promise<void> {
    for (let isDone = false; !isDone; ) {
      ({ done: isDone } = await database.call<{ done: boolean }>('spotify_reconcile', { batch_size: 100 }));
    }
    // The next pass looks at what has changed since.
    await database.call('spotify_reconcile', { batch_size: 100 });
  }

  /** Fails loudly or does its work: without an error, callers go on as if all were well. */
  async function loudly<Result>(work: Promise<Result>, check: (result: Result) => unknown): Promise<void> {
    const settled = await work.then(
      (result) => ({ result }),
      (error: { code?: string }) => ({ code: error.code }),
    );
    if ('result' in settled) await check(settled.result);
    else expect(settled.code).toMatch(/^[0-9A-Z]{5}$/);
  }

  async function leaseOf(user: string): Promise<LeaseRow> {
    const { claims } = await database.claim();
    return claims.find(({ user_id }) => user_id === user) as LeaseRow;
  }

  const losses = { 'the row is deleted': loseRow, 'only the schema is copied': loseEverything };

  describe.each(Object.entries(losses))('after %s', (_, lose) => {
    test('a sweep goes on with everybody, and the row is there again', async () => {
      const user = await database.createUser(expiring);
      await lose();

      await reconcileAll();
      const lease = await leaseOf(user);
      expect((await database.recordAll([{ ...lease, ...refreshed(lease, 'new') }])).verdicts).toMatchObject([
        { verdict: 'applied' },
      ]);
      const statistics = await database.call('spotify_finish_sweep', { did_its_work: true });

      expect(await database.profile(user)).toMatchObject({ spotify_refresh_token: 'new' });
      expect(statistics).toMatchObject({
        connected: 1,
        due: 0,
        schema_version: expect.any(Number),
        seconds_since_last_sweep: expect.any(Number),
      });
      expect(await database.owner(`select from ${table}`)).toHaveLength(1);
    });

    test('a status call takes the lease', async () => {
      const user = await database.createUser(expiring);
      await lose();

      await loudly(database.check(user), (result) =>
        expect(result).toMatchObject({ state: 'leased', lease: { refresh_token: 'refresh' } }),
      );
    });

    test('a user still connects, and the queue follows', async () => {
      const user = await database.createUser();
      await lose();

      await database.writeProfile(user, expiring);

      const profile = await database.profile(user);
      expect(await database.connection(user)).toMatchObject({
        due_at: profile?.['spotify_token_expires_at'],
      });
    });

    test('statistics count what is due, and say which version the schema has', async () => {
      await database.createUser(expiring);
      await lose();

      await loudly(database.call('spotify_connection_stats'), (statistics) =>
        expect(statistics).toMatchObject({ due: expect.any(Number), schema_version: expect.any(Number) }),
      );
    });

    test('the end of a sweep is remembered', async () => {
      await lose();

      await loudly(database.call('spotify_finish_sweep', { did_its_work: true }), (statistics) =>
        expect(statistics).toMatchObject({ seconds_since_last_sweep: expect.any(Number) }),
      );
    });
  });

  describe('while it is gone', () => {
    test('what differs is repaired', async () => {
      const expiry = new Date(Date.now() + 50 * 60_000);
      const user = await database.createUser(expiring);
      await database.bypassingTriggers(
        'update public.profiles set spotify_token_expires_at = $2 where id = $1',
        [user, expiry],
      );
      await loseRow();

      await loudly(reconcileAll(), async () =>
        expect(await database.connection(user)).toMatchObject({ expires_at: expiry }),
      );
    });

    test('an outcome is stored', async () => {
      const user = await database.createUser(expiring);
      const lease = await leaseOf(user);
      await loseRow();

      await loudly(database.record(lease, refreshed(lease, 'new')), async (verdict) => {
        expect(verdict).toBe('applied');
        expect(await database.profile(user)).toMatchObject({ spotify_refresh_token: 'new' });
      });
    });

    test("Spotify's wish to be left alone is heard", async () => {
      const lease = await leaseOf(await database.createUser(expiring));
      await database.createUser({ ...expiring, refresh: 'other' });
      await loseRow();

      await loudly(
        database.recordAll([{ ...lease, outcome: 'throttled', retry_after: 600 }]),
        async ({ not_before_in }) => {
          expect(not_before_in).toBeGreaterThan(500);
          expect(await database.claim()).toMatchObject({ claims: [] });
        },
      );
    });

    test('many revocations at once of grants that lived open the breaker', async () => {
      for (const number of [1, 2, 3, 4, 5]) await database.createUser({ ...expiring, refresh: `${number}` });
      const { claims: first } = await database.claim();
      await database.recordAll(first.map((lease) => ({ ...lease, ...refreshed(lease) })));
      await database.letTimePassForAll('50 minutes');
      const { claims } = await database.claim();
      await loseRow();
      const revoked = claims.map((lease) => ({
        ...lease,
        outcome: 'revoked',
        used_refresh_token: lease.refresh_token,
        retry_after: 60,
      }));

      await loudly(database.recordAll(revoked), (recorded) =>
        expect(recorded).toMatchObject({ breaker_is_open: true }),
      );
    });

    test('claims keep the ceiling on calls together', async () => {
      for (const number of [1, 2]) await database.createUser({ ...expiring, refresh: `${number}` });
      await loseRow();
      const claimOne = () => database.claim({ batch_size: 1, calls_per_second: 1 });

      await loudly(
        claimOne().then(() => claimOne()),
        (second) => expect(second.calls_start_in).toBeGreaterThan(0),
      );
    });
  });
});

describe('an owner whom row level security hides the profiles from', () => {
  let database: TestDatabase;
  let dead: LeaseRow;
  let leased: LeaseRow;
  let due: string;

  beforeAll(async () => {
    database = await TestDatabase.start({ ownServer: true });
  });
  afterAll(() => database.stop());
  beforeEach(async () => {
    await database.clear();
    for (const number of [1, 2]) await database.createUser({ ...expiring, refresh: `claimed-${number}` });
    [dead, leased] = (await database.claim()).claims as [LeaseRow, LeaseRow];
    await database.record(dead, { outcome: 'revoked', used_refresh_token: dead.refresh_token });
    await database.letTimePass(dead.user_id, '8 days');
    due = await database.createUser(expiring);
  });
  afterEach(() => showProfiles());

  async function hideProfiles(): Promise<void> {
    await runSql(database.urls.superuserUrl, 'alter role postgres nobypassrls');
    await runSql(database.urls.superuserUrl, 'alter table public.profiles force row level security');
  }

  async function showProfiles(): Promise<void> {
    await runSql(database.urls.superuserUrl, 'alter table public.profiles no force row level security');
    await runSql(database.urls.superuserUrl, 'alter role postgres bypassrls');
  }

  function queue(): Promise<Json[]> {
    return database.owner('select xmin, ctid, * from spotify_auth.connections order by user_id');
  }

  const calls: Readonly<Record<string, () => Promise<unknown>>> = {
    'a claim': () => database.claim(),
    'a status call': () => database.check(due),
    'an outcome': () => database.recordAll([{ ...leased, ...refreshed(leased) }]),
    'a comparison': () => database.call('spotify_reconcile', { batch_size: 100 }),
    'the removal of dead tokens': () =>
      database.call('spotify_clear_dead_grants', { grace: '7 days', batch_size: 10 }),
    'a look at the statistics': () => database.call('spotify_connection_stats'),
  };

  test.each(Object.entries(calls))('%s says so with PT530, and changes nothing', async (_, call) => {
    const before = await queue();
    await hideProfiles();

    expect(await outcomeOf(call())).toBe('PT530');

    expect(await queue()).toEqual(before);
  });

  test('says so to everybody, and all go on once the profiles are seen again', async () => {
    await hideProfiles();
    for (const call of Object.values(calls)) await outcomeOf(call());
    await showProfiles();

    const { claims } = await database.claim();

    expect(claims).toContainEqual(expect.objectContaining({ user_id: due, refresh_token: 'refresh' }));
    const outcomes = [...claims.filter(({ user_id }) => user_id === due), leased].map((lease) => ({
      ...lease,
      ...refreshed(lease, `new-${lease.refresh_token}`),
    }));
    expect((await database.recordAll(outcomes)).verdicts).toMatchObject([
      { verdict: 'applied' },
      { verdict: 'applied' },
    ]);
    expect(
      await database.call('spotify_clear_dead_grants', { grace: '7 days', batch_size: 10 }),
    ).toMatchObject({ done: true });
    expect(await database.call('spotify_connection_stats')).toMatchObject({
      connected: 2,
      waiting_for_reauthorization: 1,
    });
  });

  test.each([
    ['the owner may pass row level security by', 'alter table public.profiles force row level security'],
    ['row level security does not hold for the owner', 'alter role postgres nobypassrls'],
  ])('is served as long as %s', async (_, change) => {
    await runSql(database.urls.superuserUrl, change);
    expect((await database.claim()).claims).toContainEqual(
      expect.objectContaining({ user_id: due, refresh_token: 'refresh' }),
    );
  });

  test('lets every user write, and puts the queue right afterwards', async () => {
    const expiry = new Date(Date.now() + 50 * 60_000);
    await hideProfiles();

    const written = await outcomeOf(
      database.asUser(
        due,
        `update public.profiles set spotify_refresh_token = 'new', spotify_token_expires_at = $2 where id = $1`,
        [due, expiry],
      ),
    );

    expect(written).toBe('done');
    await showProfiles();
    for (let call = 0; call < 3; call += 1) await database.call('spotify_reconcile', { batch_size: 100 });
    expect(await database.profile(due)).toMatchObject({ spotify_refresh_token: 'new' });
    expect(await database.connection(due)).toMatchObject({ expires_at: expiry });
  });
});
