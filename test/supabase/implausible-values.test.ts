import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import {
  type Json,
  type LeaseRow,
  ownToken,
  refreshed,
  type SpotifyColumns,
  TestDatabase,
} from './database.ts';

const minute = 60;
const hour = 60 * minute;
const expiring = { access: 'access', refresh: ownToken, expires: minute } as const;

let database: TestDatabase;

beforeAll(async () => {
  database = await TestDatabase.start();
});
afterAll(() => database.stop());
beforeEach(() => database.clear());

async function claim(): Promise<LeaseRow[]> {
  return (await database.claim()).claims;
}

async function leaseNewUser(columns: SpotifyColumns = expiring): Promise<LeaseRow> {
  const user = await database.createUser(columns);
  return (await claim()).find(({ user_id }) => user_id === user) as LeaseRow;
}

function reconcile(): Promise<{ healed: number }> {
  return database.call('spotify_reconcile', { batch_size: 100 });
}

function stats(): Promise<Json> {
  return database.call('spotify_connection_stats');
}

describe('an expiry from outside that is further away than a token lives', () => {
  const implausible: [string, number | string][] = [
    ['71 minutes away', 71 * minute],
    ['in another time zone, 6.5 hours away', 6.5 * hour],
    ['ten years away', 10 * 365 * 24 * hour],
    ['milliseconds that were taken for seconds', 'epoch'],
    ['at infinity', 'infinity'],
  ];

  const write = (user: string, expires: number | string) =>
    expires === 'epoch'
      ? database.owner(
          'update public.profiles set spotify_token_expires_at = to_timestamp(extract(epoch from now()) * 1000) where id = $1',
          [user],
        )
      : database.writeProfile(user, { expires });

  test.each(implausible)(
    '(%s) is not believed: it is unknown, due at once, and counted',
    async (_, expires) => {
      const user = await database.createUser({ ...expiring, expires: 50 * minute });
      await write(user, expires);

      expect(await database.connection(user)).toMatchObject({ expires_at: null, implausible_expiry: true });
      expect(await stats()).toMatchObject({ implausible_expiries: 1, due: 1, expired: 1 });
      expect(await claim()).toMatchObject([{ user_id: user, seconds_left: null }]);
    },
  );

  test.each(implausible)('(%s) makes a status call refresh', async (_, expires) => {
    const user = await database.createUser(expiring);
    await write(user, expires);

    expect(await database.check(user)).toMatchObject({
      state: 'leased',
      expires_at: null,
      seconds_left: null,
    });
  });

  test('is corrected by the refresh, and nothing is left of it but the count, until the next write', async () => {
    const lease = await leaseNewUser({ ...expiring, expires: 10 * hour });
    await database.record(lease, refreshed(lease));

    expect(await database.check(lease.user_id)).toMatchObject({
      state: 'connected',
      seconds_left: expect.closeTo(hour, -2),
    });
    expect(await stats()).toMatchObject({ implausible_expiries: 1 });
    await database.writeProfile(lease.user_id, { access: 'another', expires: hour });
    expect(await stats()).toMatchObject({ implausible_expiries: 0 });
  });

  test('that a restore brought is found by reconciling, and by a status call', async () => {
    const users = [await database.createUser(expiring), await database.createUser(expiring)];
    await database.bypassingTriggers(
      "update public.profiles set spotify_token_expires_at = now() + interval '1 year'",
    );

    expect(await database.check(users[0] ?? '')).toMatchObject({ state: 'leased', seconds_left: null });
    expect(await reconcile()).toMatchObject({ healed: 1 });
    expect(await stats()).toMatchObject({ implausible_expiries: 2 });
    expect(await reconcile()).toMatchObject({ healed: 0 });
  });

  test.each([69 * minute, hour, -hour, '2026-01-01', '-infinity'])(
    '(%s) is not that: believed',
    async (expires) => {
      const user = await database.createUser({ ...expiring, expires });
      expect(await database.connection(user)).toMatchObject({
        expires_at: expect.any(Date),
        implausible_expiry: false,
      });
    },
  );
});

describe('a lifetime from Spotify is believed', () => {
  test('two hours: queued for then, in step with the profile, for every reader', async () => {
    const lease = await leaseNewUser();
    await database.record(lease, { ...refreshed(lease), expires_in: 2 * hour });

    expect(await claim()).toEqual([]);
    expect(await reconcile()).toMatchObject({ healed: 0 });
    expect(await database.check(lease.user_id)).toMatchObject({
      state: 'connected',
      seconds_left: expect.closeTo(2 * hour, -2),
    });
    expect(await stats()).toMatchObject({ implausible_expiries: 0 });
  });

  test('also after an outside write of something else', async () => {
    const lease = await leaseNewUser();
    await database.record(lease, { ...refreshed(lease), expires_in: 2 * hour });
    await database.writeProfile(lease.user_id, { connectedAt: '2026-11-01' });

    expect(await database.check(lease.user_id)).toMatchObject({ state: 'connected' });
  });
});

describe('what a clock wrote that was a year ahead', () => {
  /** The queue row as a clock that is ahead would have left it, with tokens that are as they were. */
  async function setAhead(user: string, assignments: string): Promise<void> {
    await database.bypassingTriggers(
      `update spotify_auth.connections set ${assignments.replaceAll('ahead', "now() + interval '1 year'")} where user_id = $1`,
      [user],
    );
  }

  const rows: [string, string][] = [
    ['a lease', 'lease_id = gen_random_uuid(), claimable_at = ahead, due_at = ahead, attempted_at = ahead'],
    ['a backoff', 'claimable_at = ahead, due_at = ahead, failures = 1'],
    ['an attempt', 'attempted_at = ahead'],
    ['a refresh', 'refreshed_at = ahead'],
    [
      'a mark',
      "reauthorization_required_since = ahead, reauthorization_reason = 'grant_revoked', due_at = null, verify_at = ahead",
    ],
  ];

  test.each(rows)('(%s) is healed by reconciling, once: the connection is due', async (_, assignments) => {
    const user = await database.createUser(expiring);
    await setAhead(user, `seen_alive = true, ${assignments}`);

    expect(await reconcile()).toMatchObject({ healed: 1 });

    expect(await database.connection(user)).toMatchObject({
      lease_id: null,
      claimable_at: null,
      attempted_at: null,
      refreshed_at: null,
      reauthorization_required_since: null,
      verify_at: null,
      // The token is the same.
      seen_alive: true,
    });
    expect(await reconcile()).toMatchObject({ healed: 0 });
    expect(await claim()).toMatchObject([{ user_id: user }]);
  });

  test.each(rows)('(%s) is healed by a status call, which refreshes', async (_, assignments) => {
    const user = await database.createUser(expiring);
    await setAhead(user, assignments);

    expect(await database.check(user)).toMatchObject({ state: 'leased' });
  });

  test.each(rows)(
    '(%s) is left alone when it is no further ahead than that can be',
    async (name, assignments) => {
      const user = await database.createUser(expiring);
      // A backoff lasts a day at most.
      await setAhead(user, assignments.replaceAll('ahead', "now() + interval '1 day'"));

      expect([name, await reconcile()]).toMatchObject([name, { healed: 0 }]);
    },
  );

  test('(tokens that are good for a year) is not believed', async () => {
    const lease = await leaseNewUser();
    await database.record(lease, refreshed(lease));
    await database.bypassingTriggers(
      `with stored as (update public.profiles set spotify_token_expires_at = now() + interval '1 year' returning *)
      update spotify_auth.connections c set expires_at = spotify_token_expires_at, due_at = spotify_token_expires_at
        from stored where id = user_id`,
    );

    expect(await claim()).toEqual([]);
    expect(await reconcile()).toMatchObject({ healed: 1 });
    await database.letTimePass(lease.user_id, '31 seconds');
    expect(await claim()).toMatchObject([{ user_id: lease.user_id }]);
  });

  test('(that no function may call Spotify) does not count, and what Spotify asks for now does', async () => {
    const [one, two] = [await leaseNewUser(), await database.createUser(expiring)];
    await database.owner("update spotify_auth.shared_state set not_before = now() + interval '1 year'");

    expect(await database.claim()).toMatchObject({ claims: [{ user_id: two }], not_before_in: null });
    expect(await database.check(await database.createUser(expiring))).toMatchObject({ state: 'leased' });
    expect(await stats()).toMatchObject({ not_before_in: null });

    const recorded = await database.recordAll([{ ...one, outcome: 'throttled', retry_after: 60 }]);
    expect(recorded.not_before_in).toBeCloseTo(60, -1);
  });

  test('(that no function may call Spotify for a day) counts: that is possible', async () => {
    await database.createUser(expiring);
    await database.owner("update spotify_auth.shared_state set not_before = now() + interval '1 day'");

    expect(await database.claim()).toMatchObject({
      claims: [],
      not_before_in: expect.closeTo(24 * hour, -2),
    });
  });

  test('(that calls are reserved) does not count, and reserves nothing', async () => {
    await database.createUser(expiring);
    await database.owner(
      "update spotify_auth.shared_state set calls_reserved_until = now() + interval '1 year'",
    );

    expect(await database.claim({ calls_per_second: 10 })).toMatchObject({
      claims: [expect.anything()],
      calls_start_in: 0,
    });
    expect(
      await database.owner(
        "select from spotify_auth.shared_state where calls_reserved_until < now() + interval '1 minute'",
      ),
    ).toHaveLength(1);
  });

  test('(refreshes) is no evidence that Spotify knows our grants, and goes with the next one', async () => {
    await database.owner('truncate spotify_auth.refreshes_by_minute');
    await database.owner(
      "insert into spotify_auth.refreshes_by_minute values (date_trunc('minute', now()) + interval '1 year', 1000)",
    );
    const leases: LeaseRow[] = [];
    for (let index = 0; index < 6; index += 1) leases.push(await leaseNewUser());
    const [living, ...refused] = leases as [LeaseRow, ...LeaseRow[]];

    const { verdicts } = await database.recordAll(
      refused.map((lease) => ({ ...lease, outcome: 'revoked', used_refresh_token: lease.refresh_token })),
    );
    expect(new Set(verdicts.map(({ verdict }) => verdict))).toEqual(new Set(['held']));

    await database.record(living, refreshed(living));
    expect(await database.owner('select refreshes from spotify_auth.refreshes_by_minute')).toEqual([
      { refreshes: 1 },
    ]);
  });

  test('(marks) is no evidence for the breaker, and not undone', async () => {
    await database.populate(500, 1_000);
    for (let index = 0; index < 5; index += 1) {
      await setAhead(
        await database.createUser(expiring),
        "seen_alive = true, reauthorization_required_since = ahead, reauthorization_reason = 'grant_revoked', due_at = null",
      );
    }
    const lease = await leaseNewUser();

    const recorded = await database.recordAll([
      { ...lease, outcome: 'revoked', used_refresh_token: lease.refresh_token },
    ]);

    expect(recorded).toMatchObject({ breaker_is_open: false, verdicts: [{ verdict: 'applied' }] });
  });
});
