import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type LeaseRow, refreshed, type SpotifyColumns, TestDatabase } from './database.ts';

const expiring = { access: 'access', refresh: 'refresh', expires: 60, connectedAt: '2026-11-01' } as const;

let database: TestDatabase;

beforeAll(async () => {
  database = await TestDatabase.start();
});
beforeEach(async () => {
  await database.clear();
  await database.letEvidenceExpire();
});
afterAll(() => database.stop());

/** Users whose connection is due, with a lease on each. */
async function leaseNewUsers(count: number, columns: SpotifyColumns = expiring): Promise<LeaseRow[]> {
  const users: string[] = [];
  for (let index = 0; index < count; index += 1) users.push(await database.createUser(columns));
  const { claims } = await database.claim();
  return claims.filter(({ user_id }) => users.includes(user_id));
}

function recordRevocations(leases: readonly LeaseRow[]) {
  return database.recordAll(
    leases.map((lease) => ({
      ...lease,
      outcome: 'revoked',
      used_refresh_token: lease.refresh_token,
      retry_after: 45,
    })),
  );
}

function recordSuccesses(leases: readonly LeaseRow[]) {
  return database.recordAll(leases.map((lease) => ({ ...lease, ...refreshed(lease) })));
}

/** Lets the backoff of a held connection pass and takes a lease on it. */
async function leaseAgain(userId: string): Promise<LeaseRow> {
  await database.letTimePass(userId, '3 minutes');
  const { claims } = await database.claim();
  return claims.find(({ user_id }) => user_id === userId) as LeaseRow;
}

async function isDead(userId: string): Promise<boolean> {
  return (await database.check(userId))['state'] === 'reauthorization_required';
}

async function deadCount(leases: readonly LeaseRow[]): Promise<number> {
  return (await Promise.all(leases.map(({ user_id }) => isDead(user_id)))).filter(Boolean).length;
}

/** Three revocations in a small deployment: the breaker opens. */
async function openBreaker(): Promise<LeaseRow[]> {
  const leases = await leaseNewUsers(3);
  expect(await recordRevocations(leases)).toMatchObject({ breaker_is_open: true });
  return leases;
}

describe('the breaker opens', () => {
  test('not for one or two revoked users, who are told to reconnect', async () => {
    const leases = await leaseNewUsers(2);

    expect(await recordRevocations(leases)).toMatchObject({
      breaker_is_open: false,
      verdicts: [{ verdict: 'applied' }, { verdict: 'applied' }],
    });
    expect(await deadCount(leases)).toBe(2);
  });

  test('for the third of a few, in one batch or in several, and undoes the marks made so far', async () => {
    const leases = await leaseNewUsers(3);

    await recordRevocations(leases.slice(0, 2));
    expect(await deadCount(leases)).toBe(2);
    expect(await recordRevocations(leases.slice(2))).toMatchObject({ breaker_is_open: true });

    expect(await deadCount(leases)).toBe(0);
    expect(await database.profile(leases[0]?.user_id ?? '')).toMatchObject({
      spotify_refresh_token: 'refresh',
    });
  });

  test('at 2 % of those attempted, not before', async () => {
    const attempted = await leaseNewUsers(100);
    const more = await leaseNewUsers(100);
    await recordSuccesses([...attempted, ...more.slice(0, 96)]);

    // 4 of 200 are 2 %, 3 of 199 are not.
    expect(await recordRevocations(more.slice(96, 99))).toMatchObject({ breaker_is_open: false });
    expect(await recordRevocations(more.slice(99))).toMatchObject({ breaker_is_open: true });
  });

  test('not for one user, however often', async () => {
    const [first] = (await leaseNewUsers(1)) as [LeaseRow];
    await recordRevocations([first]);
    for (let round = 0; round < 5; round += 1) {
      await database.writeProfile(first.user_id, { ...expiring, refresh: `refresh-${round}` });
      expect(await recordRevocations([await leaseAgain(first.user_id)])).toMatchObject({
        breaker_is_open: false,
      });
    }
  });

  test('not for grants that are six months old: they end by themselves', async () => {
    const leases = await leaseNewUsers(10, { ...expiring, connectedAt: '2026-05-20' });

    expect(await recordRevocations(leases)).toMatchObject({ breaker_is_open: false });
    expect(await deadCount(leases)).toBe(10);
  });

  test('not for revocations that lie more than 20 minutes apart', async () => {
    const leases = await leaseNewUsers(4);
    await recordRevocations(leases.slice(0, 2));
    await database.letEvidenceExpire();

    expect(await recordRevocations(leases.slice(2))).toMatchObject({ breaker_is_open: false });
  });

  test('not for outcomes that came too late', async () => {
    const leases = await leaseNewUsers(5);
    for (const { user_id } of leases) await database.writeProfile(user_id, { refresh: 'from outside' });

    expect(await recordRevocations(leases)).toMatchObject({ breaker_is_open: false });
  });
});

describe('while the breaker is open', () => {
  test('nobody is marked: held, and asked again with backoff', async () => {
    await openBreaker();
    const [lease] = (await leaseNewUsers(1)) as [LeaseRow];

    expect((await recordRevocations([lease])).verdicts).toMatchObject([{ verdict: 'held' }]);

    expect(await database.check(lease.user_id)).toMatchObject({
      state: 'backing_off',
      retry_in: expect.closeTo(45, -1),
    });
    expect(await database.connection(lease.user_id)).toMatchObject({ failures: 1 });
    expect((await leaseAgain(lease.user_id)).refresh_token).toBe('refresh');
  });

  test('no token of a dead grant is removed', async () => {
    const [old] = (await leaseNewUsers(1)) as [LeaseRow];
    await recordRevocations([old]);
    await database.letTimePass(old.user_id, '8 days');
    await database.letEvidenceExpire();
    await openBreaker();
    const clear = () => database.call('spotify_clear_dead_grants', { grace: '7 days', batch_size: 10 });

    expect(await clear()).toBe(0);
    await database.owner('update spotify_auth.service set breaker_opened_at = null');
    expect(await clear()).toBe(1);
  });

  test('successes are stored as ever', async () => {
    await openBreaker();
    const leases = await leaseNewUsers(1);

    expect((await recordSuccesses(leases)).verdicts).toMatchObject([{ verdict: 'applied' }]);
  });

  test('the statistics say so', async () => {
    await openBreaker();

    expect(await database.call('spotify_connection_stats')).toMatchObject({
      held_by_breaker: 3,
      breaker_open_seconds: expect.any(Number),
      waiting_for_reauthorization: 0,
    });
  });

  test('a held connection that its user renews is held no more', async () => {
    const [first] = (await openBreaker()) as [LeaseRow];
    await database.writeProfile(first.user_id, { ...expiring, refresh: 'renewed' });

    expect(await database.connection(first.user_id)).toMatchObject({ held_since: null });
  });
});

describe('the breaker closes', () => {
  test('when the evidence is gone and a held grant turns out to live', async () => {
    const [first, second] = (await openBreaker()) as [LeaseRow, LeaseRow];
    const again = await leaseAgain(first.user_id);
    expect(await recordSuccesses([again])).toMatchObject({ breaker_is_open: true });

    await database.letEvidenceExpire();
    const other = await leaseAgain(second.user_id);
    expect(await recordSuccesses([other])).toMatchObject({ breaker_is_open: false });
  });

  test('not because others, who were never held, succeed', async () => {
    await openBreaker();
    await database.letEvidenceExpire();

    expect(await recordSuccesses(await leaseNewUsers(5))).toMatchObject({ breaker_is_open: true });
  });

  test('when nobody is held any more', async () => {
    const leases = await openBreaker();
    await database.letEvidenceExpire();
    for (const { user_id } of leases)
      await database.writeProfile(user_id, { ...expiring, refresh: 'renewed' });

    expect(await recordSuccesses(await leaseNewUsers(1))).toMatchObject({ breaker_is_open: false });
  });

  test('after a day of nothing else the grants are dead after all, and stay so', async () => {
    const [first, second, third] = (await openBreaker()) as [LeaseRow, LeaseRow, LeaseRow];
    await database.letEvidenceExpire();
    for (const { user_id } of [first, second, third]) {
      await database.letTimePass(user_id, '25 hours');
    }
    const { claims } = await database.claim();

    const recorded = await recordRevocations(claims);

    expect(recorded.verdicts.map(({ verdict }) => verdict)).toEqual(['applied', 'applied', 'applied']);
    expect(await deadCount(claims)).toBe(3);
    await recordSuccesses(await leaseNewUsers(1));
    expect(await deadCount(claims)).toBe(3);
  });
});

describe('an operator', () => {
  test('undoes the marks made since a moment, as long as the tokens are there', async () => {
    const [old, recent, cleared] = (await leaseNewUsers(3)) as [LeaseRow, LeaseRow, LeaseRow];
    await recordRevocations([old, recent]);
    await database.letEvidenceExpire();
    await recordRevocations([cleared]);
    await database.letTimePass(old.user_id, '2 days');
    await database.letTimePass(cleared.user_id, '8 days');
    await database.call('spotify_clear_dead_grants', { grace: '7 days', batch_size: 10 });

    const since = new Date(Date.now() - 24 * 60 * 60 * 1_000).toISOString();
    expect(await database.call('spotify_restore_connections', { since })).toBe(1);

    expect(await isDead(recent.user_id)).toBe(false);
    expect(await isDead(old.user_id)).toBe(true);
    expect(await isDead(cleared.user_id)).toBe(true);
  });

  test('undoes many of them batch by batch', async () => {
    const leases = await leaseNewUsers(2);
    await recordRevocations(leases);
    await database.letEvidenceExpire();
    const restore = () => database.call('spotify_restore_connections', { since: '-infinity', batch_size: 1 });

    expect([await restore(), await restore(), await restore()]).toEqual([1, 1, 0]);
    expect(await deadCount(leases)).toBe(0);
  });
});
