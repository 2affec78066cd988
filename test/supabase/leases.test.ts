import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type LeaseRow, ownToken, refreshed, TestDatabase, tokenOf } from './database.ts';

const minute = 60;
const expiring = { access: 'access', refresh: ownToken, expires: 10 * minute };
const fresh = { access: 'access', refresh: ownToken, expires: 55 * minute };

let database: TestDatabase;

beforeAll(async () => {
  database = await TestDatabase.start();
});
afterAll(() => database.stop());
beforeEach(() => database.clear());

async function claimOne(): Promise<LeaseRow> {
  const { claims } = await database.claim();
  expect(claims).toHaveLength(1);
  return claims[0] as LeaseRow;
}

async function claimedUsers(overrides = {}): Promise<string[]> {
  return (await database.claim(overrides)).claims.map((claim) => claim.user_id);
}

describe('a sweep claims', () => {
  test('what expires within its window, and nothing that outlives it', async () => {
    const due = await database.createUser(expiring);
    await database.createUser(fresh);

    expect(await claimedUsers()).toEqual([due]);
  });

  test('a refresh token whose access token is missing or has no known expiry', async () => {
    const users = [
      await database.createUser({ ...expiring, expires: null }),
      await database.createUser({ refresh: ownToken }),
      await database.createUser({ refresh: ownToken, expires: 7 * 24 * 60 * minute }),
    ];

    expect((await claimedUsers()).sort()).toEqual(users.sort());
  });

  test.each([
    ['never connected', {}],
    ['without a refresh token', { access: 'access', expires: 10 * minute }],
    ['with an empty refresh token', { access: 'access', refresh: '', expires: 10 * minute }],
  ])('no connection that is %s', async (_, columns) => {
    await database.createUser(columns);

    expect(await claimedUsers()).toEqual([]);
  });

  test('with everything that a refresh needs to know', async () => {
    const user = await database.createUser(expiring);

    const lease = await claimOne();

    expect(lease).toEqual({
      user_id: user,
      lease_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      leased_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+\+00:00$/),
      refresh_token: tokenOf(user),
      seconds_left: expect.closeTo(10 * minute, -1),
      failures: 0,
    });
  });

  test('the soonest expiry first, the unknown one before all', async () => {
    const later = await database.createUser({ ...expiring, expires: 20 * minute });
    const expired = await database.createUser({ ...expiring, expires: -20 * minute });
    const unknown = await database.createUser({ ...expiring, access: null, expires: null });

    expect(await claimedUsers({ batch_size: 2 })).toEqual([unknown, expired]);
    expect(await claimedUsers({ batch_size: 2 })).toEqual([later]);
  });

  test.each([0, -1, 1001, null])('no batch of %s', async (size) => {
    await expect(database.claim({ batch_size: size })).rejects.toMatchObject({ code: '22023' });
  });

  test('nothing twice that was refreshed since the sweep began, however short-lived its new token', async () => {
    await database.createUser(expiring);
    const lease = await claimOne();
    await database.record(lease, { ...refreshed(lease), expires_in: 5 * minute });

    expect(await claimedUsers({ sweep_age: '10 minutes' })).toEqual([]);
    expect(await claimedUsers({ sweep_age: '0 seconds' })).toHaveLength(1);
  });

  test('2,500 connections in batches from four connections at once, each exactly once', async () => {
    await database.owner(
      'insert into auth.users (id) select gen_random_uuid() from generate_series(1, 2500)',
    );
    await database.owner(
      `update public.profiles set spotify_access_token = 'a', spotify_refresh_token = 'r-' || id,
        spotify_token_expires_at = now() + random() * interval '30 minutes'`,
    );
    const claimUntilNothingIsLeft = async () => {
      const claims: LeaseRow[] = [];
      for (;;) {
        const batch = (await database.claim({ batch_size: 150 })).claims;
        if (batch.length === 0) return claims;
        claims.push(...batch);
      }
    };

    const claims = (await Promise.all([1, 2, 3, 4].map(claimUntilNothingIsLeft))).flat();

    expect(claims).toHaveLength(2500);
    expect(new Set(claims.map((claim) => claim.user_id)).size).toBe(2500);
    expect(new Set(claims.map((claim) => claim.lease_id)).size).toBe(2500);
    expect(claims.filter((claim) => claim.refresh_token !== `r-${claim.user_id}`)).toEqual([]);
  });

  test('around a locked row, without waiting for it', async () => {
    const locked = await database.createUser(expiring);
    const free = await database.createUser(expiring);
    const holder = await database.hold('select from spotify_auth.connections where user_id = $1 for update', [
      locked,
    ]);

    expect(await claimedUsers()).toEqual([free]);

    await holder.commit();
    expect(await claimedUsers()).toEqual([locked]);
  });

  test('nothing whose profile lost its tokens behind our back, and takes it out of the queue', async () => {
    const emptied = await database.createUser(expiring);
    const intact = await database.createUser(expiring);
    await database.bypassingTriggers(
      'update public.profiles set spotify_access_token = null, spotify_refresh_token = null where id = $1',
      [emptied],
    );

    expect(await claimedUsers()).toEqual([intact]);
    expect(await database.connection(emptied)).toBeUndefined();
    expect(await database.check(emptied)).toEqual({ state: 'disconnected' });
  });

  test('the others when a profile was removed behind our back', async () => {
    const removed = await database.createUser(expiring);
    const intact = await database.createUser(expiring);
    await database.bypassingTriggers('delete from public.profiles where id = $1', [removed]);

    expect(await claimedUsers()).toEqual([intact]);
    expect(await database.connection(removed)).toBeUndefined();
  });

  test('a lost refresh token as a dead grant, not as a disconnection', async () => {
    const user = await database.createUser(expiring);
    await database.bypassingTriggers('update public.profiles set spotify_refresh_token = null');

    expect(await claimedUsers()).toEqual([]);
    expect(await database.check(user)).toMatchObject({ state: 'reauthorization_required' });
  });
});

describe('a connection is held', () => {
  test('by the lease until it lapses, and then free for the next', async () => {
    const user = await database.createUser(expiring);
    const lease = await claimOne();

    expect(await claimedUsers()).toEqual([]);
    expect(await database.check(user, '40 minutes')).toMatchObject({ state: 'busy', lease: null });

    await database.letTimePass(user, '5 minutes');
    expect((await claimOne()).lease_id).not.toBe(lease.lease_id);
  });

  test('by a status call as by a sweep, until that lease lapses', async () => {
    const user = await database.createUser({ ...expiring, expires: 2 * minute });
    expect(await database.check(user)).toMatchObject({ state: 'leased' });

    expect(await claimedUsers()).toEqual([]);

    await database.letTimePass(user, '15 seconds');
    expect(await claimedUsers()).toEqual([user]);
  });

  test.each([
    ['throttled', 0],
    ['unavailable', 1],
    ['rejected', 1],
  ])('by the backoff after %s', async (outcome, failures) => {
    const user = await database.createUser({ ...expiring, expires: 2 * minute });
    await database.record(await claimOne(), { outcome, retry_after: 90 });

    expect(await claimedUsers()).toEqual([]);
    expect(await database.check(user)).toMatchObject({
      state: 'backing_off',
      retry_in: expect.closeTo(90, -1),
      lease: null,
    });

    await database.letTimePass(user, '90 seconds');
    expect(await claimOne()).toMatchObject({ user_id: user, failures });
  });

  test.each([
    ['not at all', 0, 1],
    ['for years', 1e9, 86_400],
  ])('for a sane time when it is to back off %s', async (_, retryAfter, seconds) => {
    const user = await database.createUser({ ...expiring, expires: -minute });
    await database.record(await claimOne(), { outcome: 'throttled', retry_after: retryAfter });

    const { retry_in } = await database.check(user);

    expect(retry_in).toBeLessThanOrEqual(seconds);
    expect(retry_in).toBeGreaterThan(seconds - 1);
  });

  test('no longer once the lease is given back, and giving back is no failure', async () => {
    const user = await database.createUser(expiring);
    await database.record(await claimOne(), { outcome: 'released' });

    expect(await claimOne()).toMatchObject({ user_id: user, failures: 0 });
  });
});

describe('next_claim_in', () => {
  test('is null when nothing is due', async () => {
    await database.createUser(fresh);
    expect(await database.claim()).toMatchObject({ claims: [], next_claim_in: null });
  });

  test('is null when the batch was full: there may be more', async () => {
    await database.createUser(expiring);
    await database.createUser(expiring);
    expect(await database.claim({ batch_size: 1 })).toMatchObject({ next_claim_in: null });
  });

  test('ignores the leases that this very claim has taken', async () => {
    await database.createUser(expiring);
    const { claims, next_claim_in } = await database.claim();
    expect(claims).toHaveLength(1);
    expect(next_claim_in).toBeNull();
  });

  test('is the end of the earliest lease or backoff', async () => {
    await database.createUser(expiring);
    await claimOne();
    expect(await database.claim()).toMatchObject({
      claims: [],
      next_claim_in: expect.closeTo(5 * minute, -1),
    });

    await database.createUser(expiring);
    await database.record(await claimOne(), { outcome: 'unavailable', retry_after: 30 });
    expect(await database.claim()).toMatchObject({ claims: [], next_claim_in: expect.closeTo(30, -1) });
  });

  test('is soon when a due row was only locked for a moment', async () => {
    const user = await database.createUser(expiring);
    const holder = await database.hold('select from spotify_auth.connections where user_id = $1 for update', [
      user,
    ]);

    const { claims, next_claim_in } = await database.claim();
    await holder.commit();

    expect(claims).toEqual([]);
    expect(next_claim_in).toBe(1);
  });

  test('is soon when a whole batch turned out to have no tokens', async () => {
    for (const expires of [1 * minute, 2 * minute, 3 * minute]) {
      await database.createUser({ ...expiring, expires });
    }
    const intact = await database.createUser({ ...expiring, expires: 4 * minute });
    await database.bypassingTriggers(
      'update public.profiles set spotify_refresh_token = null where id <> $1',
      [intact],
    );

    expect(await database.claim({ batch_size: 3 })).toMatchObject({ claims: [], next_claim_in: 1 });
    expect(await claimedUsers({ batch_size: 3 })).toEqual([intact]);
  });

  test('does not wait for tokens that outlive the window, nor for those refreshed since the sweep began', async () => {
    const longLived = await database.createUser(fresh);
    expect(await database.check(longLived, '2 hours')).toMatchObject({ state: 'leased' });
    await database.createUser(expiring);
    const lease = await claimOne();
    await database.record(lease, { ...refreshed(lease), expires_in: minute });
    const again = await claimOne();
    await database.record(again, { outcome: 'unavailable', retry_after: 30 });

    expect(await database.claim({ sweep_age: '10 minutes' })).toMatchObject({
      claims: [],
      next_claim_in: null,
    });
  });
});

describe('a status check', () => {
  test('says connected while the token outlives the margin, and takes no lease', async () => {
    const user = await database.createUser({ ...expiring, connectedAt: '2026-08-31T10:00:00Z' });

    expect(await database.check(user)).toEqual({
      state: 'connected',
      spotify_user_id: null,
      spotify_user_email: null,
      connected_at: '2026-08-31T10:00:00+00:00',
      expires_at: expect.stringContaining('+00:00'),
      seconds_left: expect.closeTo(10 * minute, -1),
      reauthorize_by: '2027-02-28T10:00:00+00:00',
      retry_in: 0,
      revoked: false,
      lease: null,
    });
    expect(await claimedUsers()).toEqual([user]);
  });

  test('takes exactly one lease when twenty come at once; the others are told to wait', async () => {
    const user = await database.createUser({ ...expiring, expires: minute });

    const checks = await Promise.all(Array.from({ length: 20 }, () => database.check(user)));

    expect(checks.filter((check) => check.lease !== null)).toHaveLength(1);
    expect(checks.filter((check) => check['state'] === 'leased')).toHaveLength(1);
    expect(checks.filter((check) => check['state'] === 'busy')).toHaveLength(19);
  });

  test('takes its lease with the token, and the 15 seconds it asked for', async () => {
    const user = await database.createUser({ ...expiring, expires: minute });

    const { lease } = await database.check(user);

    expect(lease).toMatchObject({ user_id: user, refresh_token: tokenOf(user), failures: 0 });
    expect(await database.check(user)).toMatchObject({ state: 'busy', retry_in: expect.closeTo(15, -1) });
  });

  test('says busy, and never "not connected", while the row is locked', async () => {
    const user = await database.createUser({ ...expiring, expires: minute });
    const holder = await database.hold('select from spotify_auth.connections where user_id = $1 for update', [
      user,
    ]);

    const check = await database.check(user);
    await holder.commit();

    expect(check).toMatchObject({ state: 'busy', retry_in: 0, lease: null });
  });

  test('says that a connection without refresh token needs reauthorization, and when its token runs out', async () => {
    const user = await database.createUser({ access: 'access', expires: minute });
    expect(await database.check(user)).toMatchObject({
      state: 'reauthorization_required',
      seconds_left: expect.closeTo(minute, -1),
    });
  });

  test('leases nothing when the profile lost its refresh token behind our back', async () => {
    const user = await database.createUser({ ...expiring, expires: minute });
    await database.bypassingTriggers('update public.profiles set spotify_refresh_token = null');
    const holder = await database.hold('select from public.profiles for update');

    expect(await database.check(user)).toEqual({ state: 'locked' });
    await holder.commit();
    expect(await database.check(user)).toMatchObject({ state: 'reauthorization_required', lease: null });
  });

  test('says disconnected for a user who never connected, and for one who does not exist', async () => {
    const user = await database.createUser();
    expect(await database.check(user)).toEqual({ state: 'disconnected' });
    expect(await database.check('00000000-0000-4000-8000-000000000000')).toEqual({ state: 'disconnected' });
  });
});
