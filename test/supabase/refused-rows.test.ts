import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type Json, type LeaseRow, refreshed, TestDatabase } from './database.ts';

/** Every token begins like this, so that a log can be searched for all of them. */
const secret = 'secret-';
const expiring = { access: `${secret}access`, expires: 60, connectedAt: '2026-09-01' };

let database: TestDatabase;

beforeAll(async () => {
  database = await TestDatabase.start({ migrated: false, ownServer: true });
  // As wide as Bondhu may have made them. Once our triggers name the columns, their types cannot be changed.
  await database.owner(
    `alter table public.profiles alter spotify_access_token type varchar(255), alter spotify_refresh_token type varchar(255)`,
  );
  await database.migrate();
});
afterAll(() => database.stop());
beforeEach(() => database.clear());

/** Something of Bondhu's that refuses one user's profile. */
type Refusal = {
  readonly what: string;
  /** Makes it so. */
  readonly begin: (user: string) => string;
  readonly end: string;
  /** What Spotify answers, where that is what is refused. */
  readonly tokens?: (bystander: string) => Json;
  readonly code: string;
  readonly constraint: string | null;
};

const trigger = (kind: string, body: string, rest = 'for each row') => ({
  begin: (user: string) => `
    create function public.refuse() returns trigger language plpgsql as $$ begin ${body.replaceAll('USER', user)} return new; end $$;
    create ${kind} on public.profiles ${rest} execute function public.refuse()`,
  end: 'drop trigger if exists refuse on public.profiles; drop function if exists public.refuse()',
});

/** Says all that it knows, tokens included, as careless code does. */
const raise = `if new.id = 'USER' then raise exception 'refused: %', new; end if;`;

const refusals: readonly Refusal[] = [
  {
    what: 'a check constraint that held for new rows only',
    begin: (user) =>
      `alter table public.profiles add constraint bondhus_rule check (id <> '${user}') not valid`,
    end: 'alter table public.profiles drop constraint if exists bondhus_rule',
    code: '23514',
    constraint: 'bondhus_rule',
  },
  {
    what: 'a trigger that raises before',
    ...trigger('trigger refuse before update', raise),
    code: 'P0001',
    constraint: null,
  },
  {
    what: 'a trigger that raises after',
    ...trigger('trigger refuse after update', raise),
    code: 'P0001',
    constraint: null,
  },
  {
    what: 'a trigger that raises in the name of a constraint',
    ...trigger(
      'trigger refuse before update',
      `if new.id = 'USER' then raise exception 'refused: %', new using errcode = '23514', constraint = 'rule_of_a_trigger'; end if;`,
    ),
    code: '23514',
    constraint: 'rule_of_a_trigger',
  },
  {
    what: 'a trigger that raises at the end of the transaction',
    ...trigger('constraint trigger refuse after update', raise, 'deferrable initially deferred for each row'),
    code: 'P0001',
    constraint: null,
  },
  {
    what: 'a trigger on the whole statement that raises',
    ...trigger(
      'trigger refuse after update',
      `if exists (select from changed where id = 'USER') then raise exception 'refused: %', (select changed from changed where id = 'USER'); end if;`,
      'referencing new table as changed for each statement',
    ),
    code: 'P0001',
    constraint: null,
  },
  {
    what: 'a trigger with an assertion, which "others" does not catch',
    ...trigger('trigger refuse before update', `assert new.id <> 'USER', 'refused: ' || new;`),
    code: 'P0004',
    constraint: null,
  },
  {
    what: 'a trigger that drops the write silently',
    ...trigger('trigger refuse before update', `if new.id = 'USER' then return null; end if;`),
    code: '02000',
    constraint: null,
  },
];

const refusalsOfTokens: readonly Refusal[] = [
  {
    what: 'a column that is too short for the new token',
    begin: () => '',
    end: '',
    tokens: () => ({ access_token: secret.padEnd(300, 'x') }),
    code: '22001',
    constraint: null,
  },
  {
    what: 'a unique index, where another user has the new token',
    begin: () => 'create unique index one_user_a_grant on public.profiles (spotify_refresh_token)',
    end: 'drop index if exists public.one_user_a_grant',
    tokens: (bystander) => ({ refresh_token: bystander }),
    code: '23505',
    constraint: 'one_user_a_grant',
  },
  {
    what: 'a unique constraint that is checked at the end of the transaction',
    begin: () =>
      `alter table public.profiles add constraint one_user_a_grant unique (spotify_refresh_token) deferrable initially deferred`,
    end: 'alter table public.profiles drop constraint if exists one_user_a_grant',
    tokens: (bystander) => ({ refresh_token: bystander }),
    code: '23505',
    constraint: 'one_user_a_grant',
  },
];

/** Does something while Bondhu's schema, or ours, refuses one row. */
async function whileRefused(
  { begin, end }: Pick<Refusal, 'begin' | 'end'>,
  user: string,
  work: () => Promise<void>,
): Promise<void> {
  await database.owner(begin(user));
  try {
    await work();
  } finally {
    await database.owner(end);
  }
}

/** An expiry as Spotify's tokens have it, and later than a row is that was attempted just now. */
function inFiftyMinutes(): Date {
  return new Date(Date.now() + 50 * 60_000);
}

/** So many users whose tokens run out, each with tokens of its own. */
async function createUsers(count: number): Promise<string[]> {
  const users: string[] = [];
  for (let number = 1; number <= count; number += 1) {
    users.push(await database.createUser({ ...expiring, refresh: `${secret}refresh-${number}` }));
  }
  return users;
}

/** Lets the backoff of one queue row end. Its profile stays as it is, because it cannot be written. */
async function letBackoffEnd(user: string): Promise<void> {
  await database.owner(
    `update spotify_auth.connections set claimable_at = now(), due_at = least(due_at, now()), attempted_at = now() - interval '1 day'
      where user_id = $1`,
    [user],
  );
}

function successOf(lease: LeaseRow, tokens: Json = {}): Json {
  const success = refreshed(lease, `${secret}new-${lease.user_id}`);
  return { ...lease, ...success, access_token: `${secret}new-access-${lease.user_id}`, ...tokens };
}

describe('one profile that refuses new tokens', () => {
  const count = 9;

  test.each([...refusals, ...refusalsOfTokens])(
    'because of $what: the others are stored, and it is tried again',
    async (refusal) => {
      const bystander = await database.createUser({
        ...expiring,
        refresh: `${secret}bystander`,
        expires: 3_600,
      });
      const users = await createUsers(count);
      const refused = users[4] as string;
      const { claims } = await database.claim();
      expect(claims).toHaveLength(count);
      const before = await database.profile(refused);
      const tokensFor = (user: string) => (user === refused ? refusal.tokens?.(`${secret}bystander`) : {});

      await whileRefused(refusal, refused, async () => {
        const recorded = await database.recordAll(
          claims.map((lease) => successOf(lease, tokensFor(lease.user_id))),
        );

        const lease = claims.find(({ user_id }) => user_id === refused) as LeaseRow;
        expect(recorded.verdicts).toHaveLength(count);
        expect(recorded.verdicts.find(({ user_id }) => user_id === refused)).toEqual({
          user_id: refused,
          lease_id: lease.lease_id,
          verdict: 'refused',
          code: refusal.code,
          constraint: refusal.constraint,
        });
        for (const user of users.filter((each) => each !== refused)) {
          expect(recorded.verdicts).toContainEqual(
            expect.objectContaining({ user_id: user, verdict: 'applied' }),
          );
          expect(await database.profile(user)).toMatchObject({
            spotify_refresh_token: `${secret}new-${user}`,
          });
          expect(await database.connection(user)).toMatchObject({
            lease_id: null,
            failures: 0,
            claimable_at: null,
          });
        }
        expect(await database.profile(refused)).toEqual(before);
        expect(await isBackingOff(refused)).toEqual({ has_lease: false, is_later: true, failures: 1 });

        expect((await database.claim()).claims).toEqual([]);
        await letBackoffEnd(refused);
        const [again] = (await database.claim()).claims as [LeaseRow];
        expect(again).toMatchObject({ user_id: refused, failures: 1 });
        expect((await database.recordAll([successOf(again, tokensFor(refused))])).verdicts).toMatchObject([
          { verdict: 'refused', code: refusal.code },
        ]);
        expect(await isBackingOff(refused)).toEqual({ has_lease: false, is_later: true, failures: 2 });
      });

      await letBackoffEnd(refused);
      const [last] = (await database.claim()).claims as [LeaseRow];
      expect((await database.recordAll([successOf(last)])).verdicts).toMatchObject([{ verdict: 'applied' }]);
      expect(await database.profile(refused)).toMatchObject({
        spotify_refresh_token: `${secret}new-${refused}`,
      });
      expect(await database.connection(refused)).toMatchObject({ failures: 0 });
      expect(await database.profile(bystander)).toMatchObject({
        spotify_refresh_token: `${secret}bystander`,
      });
    },
  );

  async function isBackingOff(user: string): Promise<Json | undefined> {
    const [row] = await database.owner(
      `select lease_id is not null as has_lease, claimable_at > now() as is_later, failures
        from spotify_auth.connections where user_id = $1`,
      [user],
    );
    return row;
  }

  test.each(refusals)('because of $what: its verdict tells no token', async (refusal) => {
    const [refused] = (await createUsers(7)) as [string];
    const { claims } = await database.claim();

    await whileRefused(refusal, refused, async () => {
      const recorded = await database.recordAll(claims.map((lease) => successOf(lease)));
      expect(recorded.verdicts.filter(({ verdict }) => verdict === 'refused')).toHaveLength(1);
      expect(JSON.stringify(recorded)).not.toContain(secret);
    });
  });

  test.each(refusals)(
    'because of $what: a refresh token that came alone is refused as well',
    async (refusal) => {
      const [refused] = (await createUsers(7)) as [string];
      const { claims } = await database.claim();
      const rotated = claims.map((lease) => ({
        ...successOf(lease),
        outcome: 'refresh_token_only',
        access_token: null,
        retry_after: 60,
      }));

      await whileRefused(refusal, refused, async () => {
        const { verdicts } = await database.recordAll(rotated);
        expect(verdicts.filter(({ verdict }) => verdict === 'applied')).toHaveLength(6);
        expect(verdicts).toContainEqual(
          expect.objectContaining({ user_id: refused, verdict: 'refused', code: refusal.code }),
        );
      });
    },
  );

  test('is asked for nothing by an outcome without tokens', async () => {
    const [refused] = (await createUsers(7)) as [string];
    const { claims } = await database.claim();

    await whileRefused(refusals[0] as Refusal, refused, async () => {
      const { verdicts } = await database.recordAll(
        claims.map((lease) => ({ ...lease, outcome: 'unavailable', retry_after: 60 })),
      );
      expect(verdicts.map(({ verdict }) => verdict)).toEqual(claims.map(() => 'applied'));
    });
  });

  test('is not alone: where all are refused, each is told', async () => {
    await createUsers(7);
    const { claims } = await database.claim();
    const all: Refusal = {
      ...(refusals[0] as Refusal),
      begin: () => 'alter table public.profiles add constraint bondhus_rule check (id is null) not valid',
    };

    await whileRefused(all, '', async () => {
      const { verdicts } = await database.recordAll(claims.map((lease) => successOf(lease)));
      expect(verdicts.map(({ verdict }) => verdict)).toEqual(claims.map(() => 'refused'));
    });
  });
});

/** Moves whatever our tables remember of a user into the past; the columns that say when something was refused as well. */
async function letDaysPass(user: string, days: number): Promise<void> {
  const tables = await database.owner<{ name: string; changes: string }>(
    `select c.oid::regclass::text as name, string_agg(format('%1$I = %1$I - make_interval(days => $2)', moment.attname), ', ') as changes
      from pg_class c join pg_attribute moment on moment.attrelid = c.oid and moment.atttypid = 'timestamptz'::regtype and not moment.attisdropped
        join pg_attribute owner on owner.attrelid = c.oid and owner.attname = 'user_id'
      where c.relnamespace = 'spotify_auth'::regnamespace and c.relkind = 'r' group by c.oid`,
  );
  for (const { name, changes } of tables) {
    await database.owner(`update ${name} set ${changes} where user_id = $1`, [user, days]);
  }
}

/** Users whose grants have been dead for longer than a week, the first for the longest time. */
async function createDeadGrants(count: number): Promise<string[]> {
  const users = await createUsers(count);
  const { claims } = await database.claim();
  await database.recordAll(
    claims.map((lease) => ({ ...lease, outcome: 'revoked', used_refresh_token: lease.refresh_token })),
  );
  for (const [index, user] of users.entries()) {
    await database.letTimePass(user, index === 0 ? '9 days' : '8 days');
  }
  return users;
}

describe('one profile that refuses to lose its tokens', () => {
  test.each(refusals)('because of $what: all others lose theirs, also later', async (refusal) => {
    const [refused, ...others] = (await createDeadGrants(5)) as [string, ...string[]];
    const clear = async (batch_size: number) =>
      (await database.call<{ cleared: number }>('spotify_clear_dead_grants', { grace: '7 days', batch_size }))
        .cleared;

    await whileRefused(refusal, refused, async () => {
      let cleared = 0;
      for (let call = 0; call < 7; call += 1) cleared += await clear(1);

      expect(cleared).toBe(others.length);
      for (const user of others) {
        expect(await database.profile(user)).toMatchObject({
          spotify_access_token: null,
          spotify_refresh_token: null,
        });
        expect(await database.connection(user)).toMatchObject({ tokens_cleared_at: expect.any(Date) });
      }
      expect(await database.profile(refused)).toMatchObject({ spotify_refresh_token: `${secret}refresh-1` });
      expect(await database.connection(refused)).toMatchObject({
        tokens_cleared_at: null,
        reauthorization_reason: 'grant_revoked',
      });

      const [later] = (await createDeadGrants(1)) as [string];
      for (let call = 0; call < 3; call += 1) await clear(1);
      expect(await database.profile(later)).toMatchObject({ spotify_refresh_token: null });
    });
  });

  test('loses them once nothing refuses it any more', async () => {
    const [refused] = (await createDeadGrants(3)) as [string];
    const clear = () => database.call('spotify_clear_dead_grants', { grace: '7 days', batch_size: 10 });
    await whileRefused(refusals[0] as Refusal, refused, async () => {
      expect(await clear()).toMatchObject({ cleared: 2, refused: [{ user_id: refused, code: '23514' }] });
    });
    await letDaysPass(refused, 2);

    expect(await clear()).toMatchObject({ cleared: 1, refused: [] });

    expect(await database.profile(refused)).toMatchObject({ spotify_refresh_token: null });
  });
});

describe('one profile that refuses every write', () => {
  // They write into our own table alone.
  test.each(refusals)(
    'because of $what: claims, status calls, restoring and events serve all, also this user',
    async (refusal) => {
      const users = await createUsers(5);
      await database.owner(`update spotify_auth.shared_state set events_since = now() - interval '1 day'`);
      const markedLongEnough = '40 minutes';
      const everybody = users.map((user_id) => expect.objectContaining({ user_id }));

      await whileRefused(refusal, users[2] as string, async () => {
        const { claims } = await database.claim();
        expect(claims).toEqual(expect.arrayContaining(everybody));
        await database.recordAll(
          claims.map((lease) => ({ ...lease, outcome: 'revoked', used_refresh_token: lease.refresh_token })),
        );
        await database.owner(
          'update spotify_auth.connections set reauthorization_required_since = now() - $1::interval',
          [markedLongEnough],
        );

        const events = await database.call<Json[]>('spotify_pending_events', { batch_size: 10 });
        expect(events).toEqual(expect.arrayContaining(everybody));
        expect(await database.call('spotify_record_events', { events })).toBe(users.length);
        expect(await database.call('spotify_restore_connections', { since: '-infinity' })).toBe(users.length);
        for (const user of users) {
          expect(await database.check(user)).toMatchObject({ state: 'leased' });
        }
      });
    },
  );

  test('has no counterpart in our queue, which rules out only what this system would have to get wrong', async () => {
    const rules = await database.owner<{ rule: string }>(
      `select pg_get_constraintdef(oid) as rule from pg_constraint
        where conrelid = 'spotify_auth.connections'::regclass and contype <> 'n'
      union all select tgname from pg_trigger
        where tgrelid = 'spotify_auth.connections'::regclass and not tgisinternal`,
    );
    expect(rules.map(({ rule }) => rule).sort()).toEqual([
      'CHECK (((reauthorization_required_since IS NULL) = (reauthorization_reason IS NULL)))',
      expect.stringContaining('CHECK ((reauthorization_reason = ANY'),
      expect.stringContaining('CHECK ((revocation_reason = ANY'),
      'FOREIGN KEY (user_id) REFERENCES profiles(id) ON DELETE CASCADE',
      'PRIMARY KEY (user_id)',
      // They add to the history of the row, which refuses nothing that they write.
      'connection_inserted',
      'connection_updated',
    ]);
  });
});

/** Makes one row of our own table unwritable. */
const ourTableRefuses = {
  begin: (user: string) =>
    `alter table spotify_auth.connections add constraint nobodys_rule check (user_id <> '${user}') not valid`,
  end: 'alter table spotify_auth.connections drop constraint if exists nobodys_rule',
};

describe('one queue row that cannot be written', () => {
  test('does not keep a comparison from repairing the others, or from coming to its end', async () => {
    const users = await createUsers(7);
    const refused = users[3] as string;
    const expected = { expires_at: inFiftyMinutes() };
    await database.bypassingTriggers('update public.profiles set spotify_token_expires_at = $1', [
      expected.expires_at,
    ]);

    await whileRefused(ourTableRefuses, refused, async () => {
      await reconcileAll();
      for (const user of users.filter((each) => each !== refused)) {
        expect(await database.connection(user)).toMatchObject(expected);
      }
    });

    await reconcileAll();
    expect(await database.connection(refused)).toMatchObject(expected);
  });
});

/** Until all profiles have been compared, however the pages fall. */
async function reconcileAll(): Promise<void> {
  for (let call = 0; call < 3; call += 1) await database.call('spotify_reconcile', { batch_size: 100 });
}

describe("a user's write goes through, whatever our queue does", () => {
  const expiry = inFiftyMinutes();
  const write = `update public.profiles set spotify_access_token = $1, spotify_refresh_token = $2, spotify_token_expires_at = $3 where id = $4`;
  const followed = { expires_at: expiry, due_at: expiry, lease_id: null };

  function valuesFor(user: string): string[] {
    return [`${secret}written`, `${secret}refresh-written`, expiry.toISOString(), user];
  }

  function writeAs(user: string): Promise<unknown> {
    return database.asUser(user, write, valuesFor(user));
  }

  async function missedChanges(): Promise<number> {
    const statistics = await database.call<Json>('spotify_connection_stats');
    return statistics['missed_profile_changes'] as number;
  }

  /** The queue is behind after `change`: the statistics say so, and a comparison brings it in step. */
  async function expectMissedAndHealed(user: string, change: () => Promise<unknown>): Promise<void> {
    const before = await missedChanges();

    await change();

    expect(await database.profile(user)).toMatchObject({ spotify_refresh_token: `${secret}refresh-written` });
    const afterChange = await missedChanges();
    await reconcileAll();
    expect(await database.connection(user)).toMatchObject(followed);
    expect(Math.max(afterChange, await missedChanges())).toBeGreaterThan(before);
  }

  test.each(['repeatable read', 'serializable'])(
    'in a %s transaction that began before the queue row was changed',
    async (level) => {
      const [user] = (await createUsers(1)) as [string];

      await expectMissedAndHealed(user, async () => {
        const client = await database.connect(database.urls.ownerUrl);
        try {
          await client.query(`begin isolation level ${level}`);
          await client.query('select from public.profiles limit 1');
          expect((await database.claim()).claims).toHaveLength(1);
          await client.query(write, valuesFor(user));
          await client.query('commit');
        } finally {
          client.release(true);
        }
      });
    },
  );

  test('while the queue row is locked, and stays locked', async () => {
    const [user] = (await createUsers(1)) as [string];

    await expectMissedAndHealed(user, async () => {
      const holder = await database.hold(
        'select from spotify_auth.connections where user_id = $1 for update',
        [user],
      );
      await writeAs(user);
      await holder.commit();
    });
  });

  test('while the whole queue is locked', async () => {
    const [user] = (await createUsers(1)) as [string];

    await expectMissedAndHealed(user, async () => {
      const holder = await database.hold('lock table spotify_auth.connections in access exclusive mode');
      await writeAs(user);
      await holder.commit();
    });
  });

  test('while all our tables are locked', async () => {
    const [user] = (await createUsers(1)) as [string];
    const holder = await database.hold(
      `do $$ begin execute (select 'lock table ' || string_agg(oid::regclass::text, ', ') || ' in access exclusive mode'
        from pg_class where relnamespace = 'spotify_auth'::regnamespace and relkind = 'r'); end $$`,
    );

    await writeAs(user);

    await holder.commit();
    await reconcileAll();
    expect(await database.connection(user)).toMatchObject(followed);
  });

  test('while our table refuses the row', async () => {
    const [user] = (await createUsers(1)) as [string];

    await expectMissedAndHealed(user, () =>
      whileRefused(ourTableRefuses, user, async () => void (await writeAs(user))),
    );
  });

  test('while our table refuses one of many rows that are written at once: the others are followed', async () => {
    const users = await createUsers(7);
    const refused = users[3] as string;

    await expectMissedAndHealed(refused, () =>
      whileRefused(ourTableRefuses, refused, async () => {
        await database.owner(write.replace('id = $4', 'id = any ($4)'), [
          ...valuesFor('').slice(0, 3),
          users,
        ]);
        for (const user of users.filter((each) => each !== refused)) {
          expect(await database.connection(user)).toMatchObject(followed);
        }
      }),
    );
  });

  test('while our table refuses a user who connects for the first time, or is inserted with tokens', async () => {
    const [updated, inserted] = [await database.createUser(), await database.createUser()];
    await database.owner('delete from public.profiles where id = $1', [inserted]);
    const refusesAll = {
      ...ourTableRefuses,
      begin: () => ourTableRefuses.begin('%').replace("user_id <> '%'", 'user_id is null'),
    };

    await expectMissedAndHealed(updated, () =>
      whileRefused(refusesAll, '', async () => {
        await writeAs(updated);
        await database.owner(
          `insert into public.profiles (spotify_access_token, spotify_refresh_token, spotify_token_expires_at, id)
            values ($1, $2, $3, $4)`,
          valuesFor(inserted),
        );
      }),
    );
    expect(await database.connection(inserted)).toMatchObject(followed);
  });

  const upheavals = {
    'our table is away': [
      'alter table spotify_auth.connections rename to elsewhere',
      'alter table spotify_auth.elsewhere rename to connections',
    ],
    'a column of it is away': [
      'alter table spotify_auth.connections rename due_at to elsewhere',
      'alter table spotify_auth.connections rename elsewhere to due_at',
    ],
  } as const;

  test.each(Object.entries(upheavals))('while %s', async (_, [begin, end]) => {
    const [user] = (await createUsers(1)) as [string];

    // What has been resolved before may work on: then nothing is missed.
    await whileRefused({ begin: () => begin, end }, user, async () => void (await writeAs(user)));

    expect(await database.profile(user)).toMatchObject({ spotify_refresh_token: `${secret}refresh-written` });
    await reconcileAll();
    expect(await database.connection(user)).toMatchObject(followed);
  });

  test('while the row that all connections share is missing: the queue follows', async () => {
    const [user] = (await createUsers(1)) as [string];
    const [table] = await database.owner<{ name: string }>(
      `select coalesce(to_regclass('spotify_auth.shared_state'), to_regclass('spotify_auth.service'))::text as name`,
    );
    const aside = {
      begin: `create table public.aside as table ${table?.name}`,
      end: 'drop table public.aside',
    };
    await database.owner(aside.begin);
    try {
      await database.owner(`delete from ${table?.name}`);
      await writeAs(user);
      expect(await database.connection(user)).toMatchObject(followed);
    } finally {
      await database.owner(`delete from ${table?.name}`);
      await database.owner(`insert into ${table?.name} table public.aside`);
      await database.owner(aside.end);
    }
  });
});

// On a server that DATABASE_URL names the log is its owner's.
const describeOnOurServer = process.env['DATABASE_URL'] === undefined ? describe : () => {};

// At the end: the log of everything above.
describeOnOurServer("the server's log", () => {
  async function readLog(): Promise<string> {
    const client = await database.connect(database.urls.superuserUrl);
    try {
      await client.query(`do $$ begin raise log 'the end of this test'; end $$`);
      for (;;) {
        const { rows } = await client.query<{ log: string }>(`select pg_read_file('server.log') as log`);
        const log = rows[0]?.log ?? '';
        // Written by the server at once, but kept by the process that started it.
        if (log.includes('LOG:  the end of this test')) return log;
      }
    } finally {
      client.release();
    }
  }

  test('says as much as it says on Supabase', async () => {
    const settings = await database.owner<{ name: string; setting: string }>(
      `select name, setting from pg_settings
        where name in ('log_error_verbosity', 'log_min_error_statement', 'log_parameter_max_length_on_error') order by 1`,
    );
    expect(settings).toEqual([
      { name: 'log_error_verbosity', setting: 'default' },
      { name: 'log_min_error_statement', setting: 'error' },
      { name: 'log_parameter_max_length_on_error', setting: '0' },
    ]);
  });

  test('shows no token of all that were refused', async () => {
    const lines = (await readLog()).split('\n').filter((line) => line.includes(secret));
    expect(lines.slice(0, 5)).toEqual([]);
  });
});
