import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type Json, type LeaseRow, ownToken, TestDatabase } from './database.ts';

const day = 24 * 60 * 60;
const working = { access: 'access', refresh: ownToken, expires: 50 * 60 };

let database: TestDatabase;

beforeAll(async () => {
  database = await TestDatabase.start();
});
afterAll(() => database.stop());
beforeEach(async () => {
  await database.clear();
  await database.owner(`update spotify_auth.shared_state set events_since = now() - interval '1 day'`);
});

function pending(batchSize = 100): Promise<Json[]> {
  return database.call('spotify_pending_events', { batch_size: batchSize });
}

function record(events: readonly Json[]): Promise<number> {
  return database.call('spotify_record_events', { events });
}

/**
 * When a user would have to have authorized to have so many seconds left. On some days of the year nobody can have
 * exactly that: months differ in length.
 */
const authorizedWithLeft = `now() + make_interval(secs => $1) - interval '6 months'`;

/** A user whose six months end in so many seconds, or up to three days less. */
async function userWithLeft(seconds: number): Promise<string> {
  const [row] = await database.owner<{ at: string }>(`select (${authorizedWithLeft})::text as at`, [seconds]);
  return database.createUser({ ...working, connectedAt: row?.at ?? '' });
}

/** How many days ahead is announced by now, going by the time that is really left. */
async function daysToAnnounce(user: string): Promise<number | undefined> {
  const [row] = await database.owner<{ left: number }>(
    `select extract(epoch from authorized_at + interval '6 months' - now())::float8 as left
      from spotify_auth.connections where user_id = $1`,
    [user],
  );
  const left = row?.left ?? 0;
  return left <= 0 ? undefined : [1, 7, 30].find((days) => left <= days * day);
}

/** A user whose grant was marked dead so long ago. */
async function deadUser(age: string, columns = { ...working, expires: 60 }): Promise<string> {
  const user = await database.createUser(columns);
  const lease = (await database.claim()).claims.find((claim) => claim.user_id === user) as LeaseRow;
  await database.record(lease, { outcome: 'revoked', used_refresh_token: lease.refresh_token });
  await database.letTimePass(user, age);
  return user;
}

describe('a connection that its six-month limit will end', () => {
  test.each([31 * day, 30 * day - 60, 8 * day, 7 * day - 60, 2 * day, 1 * day - 60, 60, -60])(
    'with about %d s left is announced with the days that are left at most',
    async (left) => {
      const user = await userWithLeft(left);
      const days = await daysToAnnounce(user);
      expect(await pending()).toEqual(
        days === undefined
          ? []
          : [
              {
                id: expect.stringMatching(/^[0-9a-f-]{36}$/),
                kind: 'due',
                user_id: user,
                connected_at: expect.any(String),
                reauthorize_by: expect.any(String),
                days,
              },
            ],
      );
    },
  );

  test('is announced once for each of the three, under an id of its own each', async () => {
    const user = await userWithLeft(20 * day);
    const announced: unknown[] = [];
    for (const left of [20 * day, 6 * day, 3_600]) {
      // As if the time had passed until so much is left.
      await database.bypassingTriggers(
        `update spotify_auth.connections set
          announced_authorization = case when announced_days is not null then ${authorizedWithLeft} end,
          authorized_at = ${authorizedWithLeft}
        where user_id = $2`,
        [left, user],
      );
      const days = await daysToAnnounce(user);
      const events = await pending();
      expect(events).toMatchObject(days === undefined ? [] : [{ user_id: user, days }]);
      expect(await record(events)).toBe(events.length);
      expect(await pending()).toEqual([]);
      announced.push(...events.map(({ id }) => id));
    }
    expect(announced.length).toBeGreaterThanOrEqual(2);
    expect(new Set(announced).size).toBe(announced.length);
  });

  test('is announced again, under the same id, until it is recorded as announced', async () => {
    await userWithLeft(20 * day);
    const first = await pending();
    expect(await pending()).toEqual(first);
  });

  test('is announced again after the user has reauthorized', async () => {
    const user = await userWithLeft(20 * day);
    const [first] = await pending();
    await record(await pending());
    await database.writeProfile(user, { connectedAt: 'now' });
    expect(await pending()).toEqual([]);
    await database.owner(
      `update public.profiles set spotify_connected_at = now() + interval '19 days' - interval '6 months' where id = $1`,
      [user],
    );
    const [second] = await pending();
    expect(second).toMatchObject({ user_id: user, days: 30 });
    expect(second?.['id']).not.toBe(first?.['id']);
  });

  test('is not announced when it is disconnected, dead, or was authorized at an unknown time', async () => {
    const gone = await userWithLeft(20 * day);
    await database.writeProfile(gone, { access: null, refresh: null, expires: null });
    await database.createUser(working);
    expect(await pending()).toEqual([]);
  });

  test('is counted by the statistics', async () => {
    await userWithLeft(20 * day);
    await userWithLeft(10 * day);
    await userWithLeft(40 * day);
    expect(await database.call('spotify_connection_stats')).toMatchObject({ reauthorizations_due: 2 });
  });
});

describe('a dead grant', () => {
  test('is announced with its reason, once', async () => {
    const user = await deadUser('31 minutes');
    const events = await pending();
    expect(events).toEqual([
      {
        id: expect.any(String),
        kind: 'required',
        user_id: user,
        since: expect.any(String),
        reason: 'grant_revoked',
      },
    ]);
    expect(await record(events)).toBe(1);
    expect(await pending()).toEqual([]);
  });

  test('is not announced as long as the breaker could still undo the mark', async () => {
    await deadUser('29 minutes');
    expect(await pending()).toEqual([]);
  });

  test('is not announced while the breaker is open', async () => {
    await deadUser('31 minutes');
    await database.owner('update spotify_auth.shared_state set breaker_opened_at = now()');
    expect(await pending()).toEqual([]);
    await database.owner('update spotify_auth.shared_state set breaker_opened_at = null');
    expect(await pending()).toHaveLength(1);
  });

  test('is not announced when it was marked before there were announcements', async () => {
    await deadUser('2 days');
    expect(await pending()).toEqual([]);
  });

  test('is not announced when the user has connected again, and announced under another id when that grant dies too', async () => {
    const user = await deadUser('31 minutes');
    const [first] = await pending();
    await record(await pending());
    await database.writeProfile(user, { access: 'a2', refresh: 'r2', expires: 60, connectedAt: 'now' });
    expect(await pending()).toEqual([]);
    await database.letTimePass(user, '1 minute');
    const lease = (await database.claim()).claims[0] as LeaseRow;
    await database.record(lease, { outcome: 'revoked', used_refresh_token: 'r2' });
    await database.letTimePass(user, '31 minutes');
    const [second] = await pending();
    expect(second).toMatchObject({ kind: 'required', user_id: user });
    expect(second?.['id']).not.toBe(first?.['id']);
  });

  test('that was never refreshable is announced as such', async () => {
    const user = await database.createUser({ access: 'access', expires: 60 });
    await database.letTimePass(user, '31 minutes');
    expect(await pending()).toMatchObject([{ kind: 'required', user_id: user, reason: 'no_refresh_token' }]);
  });
});

test('a locked row is announced again, and delays no one', async () => {
  const locked = await userWithLeft(20 * day);
  await userWithLeft(20 * day);
  const events = await pending();
  const holder = await database.hold('select 1 from spotify_auth.connections where user_id = $1 for update', [
    locked,
  ]);
  expect(await record(events)).toBe(1);
  await holder.commit();
  expect(await pending()).toMatchObject([{ user_id: locked }]);
});

test('events come in batches', async () => {
  for (let index = 0; index < 5; index += 1) await userWithLeft(20 * day);
  expect(await pending(2)).toHaveLength(2);
});

describe('the end of a sweep', () => {
  test('is remembered when it did its work, and comes with the statistics', async () => {
    await database.createUser(working);
    expect(await database.call('spotify_finish_sweep', { did_its_work: true })).toMatchObject({
      connected: 1,
      seconds_since_last_sweep: 0,
      last_sweep_finished_at: expect.any(String),
    });
  });

  test('is not remembered when it did not', async () => {
    await database.owner('update spotify_auth.shared_state set last_sweep_finished_at = null');
    expect(await database.call('spotify_finish_sweep', { did_its_work: false })).toMatchObject({
      seconds_since_last_sweep: null,
    });
  });
});

describe('a connection as an operator sees it', () => {
  const show = (user: string) => database.call<Json>('spotify_show_connection', { for_user: user });
  const nobody = '00000000-0000-4000-8000-000000000000';

  test('is unknown, never connected, connected, dead or disconnected', async () => {
    const disconnected = await database.createUser(working);
    await database.writeProfile(disconnected, { access: null, refresh: null, expires: null });
    expect(await show(nobody)).toEqual({ user_id: nobody, state: 'unknown_user' });
    const never = await database.createUser();
    expect(await show(never)).toEqual({ user_id: never, state: 'never_connected' });
    expect(await show(disconnected)).toMatchObject({ state: 'disconnected' });
    expect(await show(await deadUser('31 minutes'))).toMatchObject({
      state: 'reauthorization_required',
      reauthorization_reason: 'grant_revoked',
    });
    expect(await show(await userWithLeft(20 * day))).toMatchObject({
      state: 'connected',
      seconds_left: expect.closeTo(50 * 60, -1),
      leased: false,
      failures: 0,
    });
  });

  test('says who holds it, and carries no token and no lease id', async () => {
    const user = await database.createUser({ ...working, expires: 60 });
    await database.claim();
    const shown = await show(user);
    expect(shown).toMatchObject({ state: 'connected', leased: true });
    const [{ lease_id } = {}] = await database.owner('select lease_id from spotify_auth.connections');
    expect(JSON.stringify(shown)).not.toContain(String(lease_id));
    expect(JSON.stringify(shown)).not.toMatch(/"(access|refresh)"/);
  });
});
