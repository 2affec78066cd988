/** What is kept for the question "why am I asked to reconnect?": every change of a connection's state, and nothing else. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type Json, type LeaseRow, ownToken, refreshed, TestDatabase } from './database.ts';

type Change = { readonly changed_at: string; readonly change: string; readonly reason: string | null };

const MINUTE = 60;

let database: TestDatabase;

beforeAll(async () => {
  database = await TestDatabase.start();
});
afterAll(() => database.stop());
beforeEach(() => database.clear());

/** A user who connects Spotify at this moment. */
function connect(columns: Json = {}): Promise<string> {
  return database.createUser({
    access: 'access',
    refresh: ownToken,
    expires: 10 * MINUTE,
    connectedAt: new Date().toISOString(),
    ...columns,
  });
}

/** Takes a lease as an operator does, whenever it was tried last. */
async function lease(user: string): Promise<LeaseRow> {
  await database.owner(
    'update spotify_auth.connections set claimable_at = null, attempted_at = null where user_id = $1',
    [user],
  );
  const check = { for_user: user, refresh_within: null, lease: '1 minute' };
  return (await database.call<{ lease: LeaseRow }>('spotify_check_connection', check)).lease;
}

async function revoke(user: string): Promise<void> {
  const taken = await lease(user);
  const outcome = { outcome: 'revoked', reason: 'expired', used_refresh_token: taken.refresh_token };
  expect(await database.record(taken, outcome)).toBe('applied');
}

/** The newest last. */
async function historyOf(user: string): Promise<string[]> {
  const { changes } = await database.call<{ changes: readonly Change[] }>('spotify_explain_connection', {
    for_user: user,
  });
  return changes.map(({ change, reason }) => (reason === null ? change : `${change}: ${reason}`)).reverse();
}

/** How many changes were ever written, those that are gone included. */
async function countWritten(): Promise<number> {
  const [row] = await database.owner<{ written: string }>(
    `select coalesce(pg_sequence_last_value('spotify_auth.changes_number_seq'), 0) as written`,
  );
  return Number(row?.written);
}

describe('refreshing', () => {
  async function refreshAll(count: number): Promise<void> {
    const { claims } = await database.claim({ refresh_within: '2 hours', batch_size: 500 });
    const results = claims.map((claim) => ({ ...claim, ...refreshed(claim, `next-${claim.lease_id}`) }));
    const { verdicts } = await database.recordAll(results);
    expect(verdicts.filter(({ verdict }) => verdict === 'applied')).toHaveLength(count);
  }

  test('writes nothing, however often and however many, but for the first time after the user connected', async () => {
    const users = await Promise.all(Array.from({ length: 200 }, () => connect()));
    const ofConnecting = await countWritten();
    await refreshAll(200);
    const ofFirstRefresh = await countWritten();
    for (let round = 0; round < 5; round += 1) await refreshAll(200);

    expect(ofFirstRefresh - ofConnecting).toBe(200);
    expect(await countWritten()).toBe(ofFirstRefresh);
    expect(await historyOf(users[0] ?? '')).toEqual(['authorized', 'refreshed']);
    expect(await database.connection(users[0] ?? '')).toMatchObject({ refreshes: 6 });
  });

  test('writes nothing at all about users who had connected before this system was there', async () => {
    await Promise.all(Array.from({ length: 50 }, () => connect({ connectedAt: '2026-09-01' })));
    const before = await countWritten();
    await refreshAll(50);
    await refreshAll(50);

    expect(await countWritten()).toBe(before);
  });

  test.each([
    ['unavailable', { outcome: 'unavailable', retry_after: 60 }],
    ['throttled', { outcome: 'throttled', retry_after: 60 }],
    ['given back', { outcome: 'released' }],
  ])('that comes to nothing, because it is %s, writes nothing either', async (_name, outcome) => {
    const user = await connect();
    await database.record(await lease(user), outcome);

    expect(await historyOf(user)).toEqual(['authorized']);
  });

  test('by Bondhu writes nothing either', async () => {
    const user = await connect();
    for (const token of ['one', 'two']) {
      await database.writeProfile(user, { access: token, refresh: token, expires: 3_600 });
    }

    expect(await historyOf(user)).toEqual(['authorized']);
  });
});

describe('a change of the state is kept', () => {
  test('from connecting to disconnecting', async () => {
    const user = await connect();
    await revoke(user);
    await database.call('spotify_restore_connections', { since: '-infinity' });
    await revoke(user);
    await database.letTimePass(user, '2 hours');
    const verified = await lease(user);
    await database.record(verified, refreshed(verified));
    await revoke(user);
    await database.letTimePass(user, '8 days');
    await database.call('spotify_clear_dead_grants', { grace: '7 days', batch_size: 10 });
    const connectedAt = new Date().toISOString();
    await database.writeProfile(user, { access: 'access', refresh: ownToken, expires: 60, connectedAt });
    await database.writeProfile(user, { access: null, refresh: null, expires: null, connectedAt: null });

    expect(await historyOf(user)).toEqual([
      'authorized',
      'revoked: expired',
      'restored',
      'revoked: expired',
      'recovered',
      'revoked: expired',
      'cleared',
      'reconnected',
      'disconnected',
    ]);
  });

  test('a grant that is held, and one whose mark the breaker takes back', async () => {
    await database.populate(100, 1_000);
    const users = await Promise.all(Array.from({ length: 6 }, () => connect()));
    for (const user of users) {
      const taken = await lease(user);
      await database.record(taken, refreshed(taken));
    }
    for (const user of users) {
      const taken = await lease(user);
      await database.record(taken, { outcome: 'revoked', used_refresh_token: taken.refresh_token });
    }

    expect(await historyOf(users[0] ?? '')).toEqual([
      'authorized',
      'refreshed',
      'revoked: unknown',
      'held: unknown',
    ]);
    expect(await historyOf(users[5] ?? '')).toEqual(['authorized', 'refreshed', 'held: unknown']);
  });

  test('tokens without a refresh token', async () => {
    expect(await historyOf(await connect({ refresh: null }))).toEqual(['incomplete']);
  });

  test('tokens that the schema does not take, once for all its refusals in a row', async () => {
    const user = await connect();
    await database.owner(
      "alter table public.profiles add constraint bondhus_own check (spotify_access_token = 'access')",
    );
    for (const attempt of ['first', 'second']) {
      const taken = await lease(user);
      expect([attempt, await database.record(taken, refreshed(taken))]).toEqual([attempt, 'refused']);
    }
    await database.owner('alter table public.profiles drop constraint bondhus_own');

    expect(await historyOf(user)).toEqual(['authorized', 'refused: 23514 bondhus_own']);
  });

  test('what other teams were told, and when', async () => {
    const [soonOver] = await database.owner<{ moment: string }>(
      `select (now() - interval '6 months' + interval '5 days')::text as moment`,
    );
    const ending = await connect({ connectedAt: soonOver?.moment });
    const dead = await connect();
    await revoke(dead);
    await database.letTimePass(dead, '31 minutes');
    await database.owner("update spotify_auth.shared_state set events_since = now() - interval '1 day'");
    const events = await database.call<Json[]>('spotify_pending_events', { batch_size: 10 });

    expect(await database.call('spotify_record_events', { events })).toBe(2);
    expect(await historyOf(ending)).toEqual(['told: due_in_7_days']);
    expect(await historyOf(dead)).toEqual([
      'authorized',
      'revoked: expired',
      'told: reauthorization_required',
    ]);
  });
});

describe('the history goes', () => {
  test('with its user', async () => {
    const [gone = '', other = ''] = [await connect(), await connect()];
    await database.owner('delete from auth.users where id = $1', [gone]);

    expect(await database.owner('select user_id from spotify_auth.changes')).toEqual([{ user_id: other }]);
  });

  test('after 90 days, 10,000 changes with each sweep', async () => {
    const user = await connect();
    await database.owner(
      `insert into spotify_auth.changes (user_id, change, changed_at)
        select $1, 'reconnected', now() - interval '90 days 1 second' from generate_series(1, 10001)`,
      [user],
    );
    await database.owner(
      `insert into spotify_auth.changes (user_id, change, changed_at)
        values ($1, 'reconnected', now() - interval '89 days')`,
      [user],
    );
    const sweepAndCount = async () => {
      await database.call('spotify_finish_sweep', { did_its_work: true });
      const [row] = await database.owner<{ count: string }>('select count(*) from spotify_auth.changes');
      return Number(row?.count);
    };

    expect(await sweepAndCount()).toBe(3);
    expect(await sweepAndCount()).toBe(2);
    expect(await sweepAndCount()).toBe(2);
    expect(await historyOf(user)).toEqual(['authorized', 'reconnected']);
  });

  test('beyond the last 100 changes: a user who reconnects for ever fills no disk', async () => {
    const user = await connect();
    for (let day = 0; day < 110; day += 1) {
      const connectedAt = new Date(Date.UTC(2026, 0, 1 + day)).toISOString();
      await database.writeProfile(user, { connectedAt });
    }

    const history = await historyOf(user);
    expect(history).toHaveLength(100);
    expect(new Set(history)).toEqual(new Set(['reconnected']));
  });
});

test('an unknown user has no history', async () => {
  const user = '00000000-0000-4000-8000-000000000000';
  expect(await database.call('spotify_explain_connection', { for_user: user })).toEqual({
    user_id: user,
    state: 'unknown_user',
    changes: [],
  });
});

test('a user is found by the e-mail of the account, whatever its case, and never by what stands in the profile', async () => {
  const user = await connect();
  await database.owner("update auth.users set email = 'someone@example.com' where id = $1", [user]);
  await database.owner("update public.profiles set spotify_user_email = 'other@example.com' where id = $1", [
    user,
  ]);
  const find = (email: string) => database.call('spotify_find_user', { email });

  expect(await find('Someone@Example.com')).toBe(user);
  expect(await find('other@example.com')).toBeNull();
  expect(await find('%@example.com')).toBeNull();
});

test('what a restore would undo is counted, and stays as it is', async () => {
  const [first = '', second = ''] = [await connect(), await connect()];
  for (const user of [first, second]) await revoke(user);
  await connect({ refresh: null });
  await database.letTimePass(first, '1 day');
  const count = (since: string) => database.call('spotify_count_restorable', { since });
  const anHourAgo = new Date(Date.now() - 3_600_000).toISOString();

  expect(await count('-infinity')).toBe('2');
  expect(await count(anHourAgo)).toBe('1');
  expect(await database.call('spotify_restore_connections', { since: anHourAgo })).toBe(1);
  expect(await count('-infinity')).toBe('1');
});

test('a session that knew the history while it was empty reads no more of it when it is long', async () => {
  const [user, ...others] = await Promise.all(Array.from({ length: 40 }, () => connect()));
  await database.owner('truncate spotify_auth.changes');
  const session = await database.connect(database.urls.superuserUrl);
  try {
    // Now the planner knows how small it is.
    await session.query('vacuum (analyze) spotify_auth.changes');
    const changeThreeTimes = async () => {
      for (const change of [
        'held_since = now()',
        'held_since = null, refreshes = 0',
        'held_since = null, refreshes = 1',
      ])
        await session.query(`update spotify_auth.connections set ${change} where user_id = $1`, [user]);
    };
    // Generic plans, which a session keeps, are considered from the sixth time on.
    for (let times = 0; times < 7; times += 1) await changeThreeTimes();
    await session.query(
      `insert into spotify_auth.changes (user_id, change)
        select each, 'held' from unnest($1::uuid[]) each, generate_series(1, 90)`,
      [others],
    );
    await session.query('begin');
    await changeThreeTimes();

    const { rows } = await session.query(
      `select seq_tup_read from pg_stat_xact_user_tables where relid = 'spotify_auth.changes'::regclass`,
    );
    expect(rows).toEqual([{ seq_tup_read: '0' }]);
    expect(await historyOf(user ?? '')).toEqual(expect.arrayContaining(['held', 'refreshed']));
  } finally {
    session.release(true);
  }
});
