/** What every connection store has to do, by examples: the functions in SQL, and the model that stands for them. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { ClaimRequest, ConnectionCheck, Verdict } from '../../../lambda/connection/connection-store.ts';
import type { Lease } from '../../../lambda/connection/lease.ts';
import type { RefreshOutcome } from '../../../lambda/connection/refresh-outcome.ts';
import type { Written } from '../fakes/connection-model.ts';
import { InMemoryUnderTest, SqlUnderTest, type State, type StoreUnderTest } from './stores.ts';

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const WINDOW = 40 * MINUTE;
const LEASE = 15;

const refreshed = { kind: 'refreshed', accessToken: 'new-access', expiresInSeconds: HOUR } as const;
const rotated = { ...refreshed, refreshToken: 'new-refresh' } as const;
const revoked = { kind: 'revoked', reason: 'revoked', retryAfterSeconds: 30 } as const;
const unavailable = { kind: 'unavailable', retryAfterSeconds: 90 } as const;
const released = { kind: 'released' } as const;

let tested: StoreUnderTest;

describe.each<[string, () => Promise<StoreUnderTest>]>([
  ['in memory', async () => new InMemoryUnderTest()],
  ['in SQL', () => SqlUnderTest.start()],
])('the connection store %s', (_name, start) => {
  beforeAll(async () => {
    tested = await start();
  });
  afterAll(() => tested.stop());
  beforeEach(() => tested.clear());

  describe('a check', () => {
    test('finds a user who never connected disconnected, and one who has disconnected', async () => {
      const user = randomUUID();
      await tested.signUp(user);
      expect(await check(user)).toEqual({ state: 'disconnected' });
      await tested.write(user, { accessToken: 'access', refreshToken: 'refresh', expiresInSeconds: 60 });
      await tested.write(user, { accessToken: null, refreshToken: null, expiresInSeconds: null });
      expect(await check(user)).toEqual({ state: 'disconnected' });
    });

    test('of a token with time left takes no lease', async () => {
      const user = await connect({ expiresInSeconds: HOUR });
      expect(await check(user)).toMatchObject({ state: 'connected', details: { secondsLeft: around(HOUR) } });
      expect(await stateOf(user)).toMatchObject({ leaseId: null });
    });

    test('leases what is due, to one alone until that lease lapses', async () => {
      const user = await connect();
      const lease = await leaseOn(user);
      expect(lease).toMatchObject({
        refreshToken: `refresh-of-${user}`,
        secondsLeft: around(60),
        failures: 0,
      });
      expect(await check(user)).toMatchObject({ state: 'busy', retryInSeconds: around(LEASE) });
      await tested.letTimePass(LEASE);
      expect(await check(user)).toMatchObject({ state: 'leased' });
    });

    test('leases nothing within 30 s of a refresh, however short the new token lives', async () => {
      const user = await connect();
      await settle(user, { ...refreshed, expiresInSeconds: 45 });
      expect(await check(user)).toMatchObject({ state: 'connected', details: { secondsLeft: around(45) } });
      await tested.letTimePass(31);
      expect(await check(user)).toMatchObject({ state: 'leased' });
    });

    test('says when a token may be refreshed that has expired within 30 s of its refresh', async () => {
      const user = await connect();
      await settle(user, { ...refreshed, expiresInSeconds: 1 });
      await tested.letTimePass(10);
      expect(await check(user)).toMatchObject({ state: 'backing_off', retryInSeconds: around(20) });
      await tested.letTimePass(21);
      expect(await check(user)).toMatchObject({ state: 'leased' });
    });

    test('whatever the expiry leases what has just been refreshed', async () => {
      const user = await connect();
      await settle(user, refreshed);
      expect(await tested.store.check(user, null, LEASE, 1_000)).toMatchObject({ state: 'leased' });
    });

    test('distinguishes a connection that backs off from one that is being refreshed', async () => {
      const user = await connect();
      await settle(user, unavailable);
      expect(await check(user)).toMatchObject({
        state: 'backing_off',
        retryInSeconds: around(90),
        isRevoked: false,
      });
      await tested.letTimePass(90);
      expect(await check(user)).toMatchObject({ state: 'leased', lease: { failures: 1 } });
    });

    test('skips a locked row', async () => {
      const user = await connect();
      const unlock = await tested.lock(user);
      expect(await check(user)).toMatchObject({
        state: 'busy',
        details: { secondsLeft: around(60) },
        retryInSeconds: 0,
      });
      await unlock();
      expect(await check(user)).toMatchObject({ state: 'leased' });
    });
  });

  describe('a claim', () => {
    test('takes what is due, soonest expiry first, and says when it came back full', async () => {
      const [late, early] = [
        await connect({ expiresInSeconds: 600 }),
        await connect({ expiresInSeconds: 60 }),
      ];
      const unknown = await connect({ accessToken: null, expiresInSeconds: null });
      await connect({ expiresInSeconds: HOUR });
      const full = await claim({ batchSize: 2 });
      expect(full.leases.map(({ userId }) => userId)).toEqual([unknown, early]);
      expect(full).toMatchObject({ nextClaimInSeconds: null, dueUpTo: expect.any(String) });
      const rest = await claim({ dueFrom: full.dueUpTo });
      expect(rest.leases.map(({ userId }) => userId)).toEqual([late]);
      expect(rest).toMatchObject({ nextClaimInSeconds: around(5 * MINUTE), dueUpTo: null });
    });

    test('passes over what this sweep has refreshed', async () => {
      const user = await connect();
      await settle(user, { ...refreshed, expiresInSeconds: 120 });
      await tested.letTimePass(10);
      expect((await claim({ sweepAgeSeconds: 60 })).leases).toEqual([]);
      expect((await claim({ sweepAgeSeconds: 5 })).leases).toHaveLength(1);
    });

    test('returns to a locked row', async () => {
      const user = await connect();
      const unlock = await tested.lock(user);
      expect(await claim()).toMatchObject({ leases: [], nextClaimInSeconds: 1 });
      await unlock();
      expect((await claim()).leases).toHaveLength(1);
    });

    test('keeps the ceiling on calls together with other claims', async () => {
      for (let users = 0; users < 30; users += 1) await connect();
      const request = { batchSize: 10, callsPerSecond: 1, leaseSeconds: 60 };
      expect(await claim(request)).toMatchObject({ leases: { length: 10 }, callsStartInSeconds: 0 });
      expect(await claim(request)).toMatchObject({ leases: { length: 10 }, callsStartInSeconds: around(10) });
      expect(await claim({ ...request, batchSize: 15 })).toMatchObject({
        leases: [],
        nextClaimInSeconds: around(5),
      });
    });

    test('is of everything due that is counted, those under way included', async () => {
      await connect();
      await leaseOn(await connect());
      await settle(await connect(), unavailable);
      await settle(await connect(), revoked);
      await connect({ expiresInSeconds: HOUR });
      expect(await tested.store.countDue(WINDOW, 1_000)).toBe(3);
    });
  });

  describe('fencing', () => {
    test('a success is applied once: the tokens, and an expiry that counts from the lease', async () => {
      const user = await connect();
      const lease = await leaseOn(user);
      await tested.letTimePass(10);
      expect(await record(lease, rotated)).toBe('applied');
      expect(await record(lease, rotated)).toBe('already_applied');
      expect(await stateOf(user)).toMatchObject({
        accessToken: 'new-access',
        refreshToken: 'new-refresh',
        expiresAt: around(HOUR - 10),
        leaseId: null,
        seenAlive: true,
      });
    });

    test('an outcome whose lease has lapsed applies while there is no other lease', async () => {
      const lease = await leaseOn(await connect());
      await tested.letTimePass(HOUR);
      expect(await record(lease, unavailable)).toBe('applied');
    });

    test('an outcome whose lease has lapsed is stale once there is another lease', async () => {
      const user = await connect();
      const late = await leaseOn(user);
      await tested.letTimePass(LEASE);
      const lease = await leaseOn(user);
      expect(await record(late, unavailable)).toBe('stale');
      expect(await record(late, refreshed)).toBe('stale');
      expect(await record(late, revoked)).toBe('stale');
      expect(await stateOf(user)).toMatchObject({ leaseId: lease.leaseId, failures: 0 });
    });

    test('a new refresh token applies although the lease is over, and ends the one that followed', async () => {
      const user = await connect();
      const late = await leaseOn(user);
      await tested.letTimePass(LEASE);
      const lease = await leaseOn(user);
      expect(await record(late, rotated)).toBe('applied');
      expect(await record(lease, { ...rotated, refreshToken: 'other' })).toBe('stale');
      expect(await stateOf(user)).toMatchObject({ refreshToken: 'new-refresh' });
    });

    test('a success that brings the same token again is stale once the lease is over', async () => {
      const user = await connect();
      const late = await leaseOn(user);
      await tested.letTimePass(LEASE);
      await leaseOn(user);
      expect(await record(late, { ...refreshed, refreshToken: late.refreshToken })).toBe('stale');
    });

    test.each<[string, RefreshOutcome]>([
      ['a success without a new refresh token', refreshed],
      ['a success with one', rotated],
      ['a revocation', revoked],
    ])('%s is stale while another token is stored than was used', async (_outcome, outcome) => {
      const user = await connect();
      const lease = await leaseOn(user);
      await tested.replaceToken(user, 'of-a-backup');
      expect(await record(lease, outcome)).toBe('stale');
      expect(await stateOf(user)).toMatchObject({
        accessToken: `access-of-${user}`,
        refreshToken: 'of-a-backup',
        reauthorizationRequiredSince: null,
      });
    });

    test('a write of Bondhu ends the lease', async () => {
      const user = await connect();
      const lease = await leaseOn(user);
      await tested.write(user, { accessToken: 'access', expiresInSeconds: HOUR, connectedSecondsAgo: 0 });
      expect(await record(lease, refreshed)).toBe('stale');
      expect(await stateOf(user)).toMatchObject({ accessToken: 'access', leaseId: null });
    });

    test('an outcome for a locked row is to be recorded again', async () => {
      const user = await connect();
      const lease = await leaseOn(user);
      const unlock = await tested.lock(user);
      expect(await record(lease, rotated)).toBe('busy');
      await unlock();
      expect(await record(lease, rotated)).toBe('applied');
    });

    test('an outcome for an unknown user is stale', async () => {
      const lease = await leaseOn(await connect());
      const nobody = { ...lease, userId: randomUUID(), leaseId: randomUUID() };
      expect(await record(nobody, rotated)).toBe('stale');
    });
  });

  describe('an outcome', () => {
    test('of which only the new refresh token can be used is kept, and tried again', async () => {
      const user = await connect();
      expect(
        await settle(user, {
          kind: 'refresh_token_only',
          refreshToken: 'new-refresh',
          retryAfterSeconds: 60,
        }),
      ).toBe('applied');
      expect(await stateOf(user)).toMatchObject({
        accessToken: `access-of-${user}`,
        refreshToken: 'new-refresh',
        failures: 1,
        claimableAt: around(60),
        seenAlive: true,
      });
    });

    test('"throttled" holds everybody back, for a day at most', async () => {
      const [throttled, other] = [await connect(), await connect()];
      const lease = await leaseOn(throttled);
      expect(
        await tested.store.record(
          [{ lease, outcome: { kind: 'throttled', retryAfterSeconds: 3 * DAY } }],
          1_000,
        ),
      ).toMatchObject({ notBeforeInSeconds: around(DAY) });
      expect(await check(other)).toMatchObject({ state: 'backing_off', retryInSeconds: around(DAY) });
      expect(await claim()).toMatchObject({ leases: [], notBeforeInSeconds: around(DAY) });
      expect(await stateOf(throttled)).toMatchObject({ failures: 0, claimableAt: around(DAY) });
      await tested.letTimePass(DAY);
      expect(await check(other)).toMatchObject({ state: 'leased' });
    });

    test('"throttled" holds everybody back although its lease is over', async () => {
      const user = await connect();
      const lease = await leaseOn(user);
      await tested.write(user, { accessToken: 'access', expiresInSeconds: 60, connectedSecondsAgo: 0 });
      expect(await record(lease, { kind: 'throttled', retryAfterSeconds: 120 })).toBe('stale');
      expect(await claim()).toMatchObject({ notBeforeInSeconds: around(120) });
    });

    test('"client rejected" frees the connection, and nobody calls Spotify for a minute', async () => {
      const user = await connect();
      await settle(user, { kind: 'client_rejected' });
      expect(await stateOf(user)).toMatchObject({ failures: 0, claimableAt: null, leaseId: null });
      expect(await check(user)).toMatchObject({ state: 'backing_off', retryInSeconds: around(60) });
      await tested.letTimePass(60);
      expect(await check(user)).toMatchObject({ state: 'leased' });
    });

    test('"released" leaves no trace: the connection is free again, also for one who has just reconnected', async () => {
      const user = await connect();
      await settle(user, released);
      expect(await stateOf(user)).toMatchObject({ failures: 0, claimableAt: null, attemptedAt: null });
      await tested.write(user, { accessToken: 'access', expiresInSeconds: 60, connectedSecondsAgo: 0 });
      expect(await check(user)).toMatchObject({ state: 'leased' });
    });

    test('"refused" waits half a minute, and a day where the refresh token was replaced', async () => {
      const user = await connect();
      await tested.refuseTokens(user);
      const plain = await leaseOn(user);
      expect(await tested.store.record([{ lease: plain, outcome: refreshed }], 1_000)).toMatchObject({
        verdicts: new Map([[plain.leaseId, 'refused']]),
        refusals: [{ userId: user, code: '23514', constraint: 'bondhus_own' }],
      });
      expect(await stateOf(user)).toMatchObject({ failures: 1, claimableAt: around(30) });
      await tested.letTimePass(30);
      expect(await settle(user, rotated)).toBe('refused');
      expect(await stateOf(user)).toMatchObject({
        failures: 2,
        claimableAt: around(DAY),
        refreshToken: `refresh-of-${user}`,
      });
    });

    test('comes once for each user', async () => {
      const lease = await leaseOn(await connect());
      const twice = { lease, outcome: released };
      await expect(tested.store.record([twice, twice], 1_000)).rejects.toThrow();
    });
  });

  describe('a write of Bondhu', () => {
    test('is proof of life: it undoes backoff, failures and mark', async () => {
      const user = await connect();
      await settle(user, revoked);
      await tested.letTimePass(MINUTE);
      await tested.write(user, { accessToken: 'access', expiresInSeconds: 60, connectedSecondsAgo: 0 });
      expect(await stateOf(user)).toMatchObject({
        failures: 0,
        reauthorizationRequiredSince: null,
        verifyAt: null,
        revocationReason: null,
      });
      expect(await check(user)).toMatchObject({ state: 'leased' });
    });

    test('makes nobody call Spotify within 30 s of the last attempt', async () => {
      const user = await connect();
      await settle(user, unavailable);
      await tested.letTimePass(10);
      await tested.write(user, { accessToken: 'access', expiresInSeconds: 60, connectedSecondsAgo: 0 });
      expect(await check(user)).toMatchObject({ state: 'backing_off', retryInSeconds: around(20) });
      expect((await claim()).leases).toEqual([]);
      await tested.letTimePass(20);
      expect(await check(user)).toMatchObject({ state: 'leased' });
    });

    test('of another refresh token is of a grant that nobody has seen alive', async () => {
      const user = await connect();
      await settle(user, refreshed);
      await tested.write(user, { refreshToken: `refresh-of-${user}`, connectedSecondsAgo: 0 });
      expect(await stateOf(user)).toMatchObject({ seenAlive: true });
      await tested.write(user, { refreshToken: 'another' });
      expect(await stateOf(user)).toMatchObject({ seenAlive: false });
    });

    test('without a refresh token leaves nothing to refresh with', async () => {
      const user = await connect({ refreshToken: null });
      expect(await check(user)).toMatchObject({ state: 'reauthorization_required' });
      expect(await stateOf(user)).toMatchObject({
        reauthorizationReason: 'no_refresh_token',
        verifyAt: null,
      });
      expect((await claim()).leases).toEqual([]);
    });

    test('of an expiry that cannot be true makes the token due, until it can be', async () => {
      const user = await connect({ expiresInSeconds: 2 * HOUR });
      expect(await stateOf(user)).toMatchObject({ expiresAt: null, implausibleExpiry: true });
      await tested.letTimePass(HOUR);
      expect(await check(user)).toMatchObject({ state: 'connected', details: { secondsLeft: around(HOUR) } });
    });
  });

  describe('a grant that Spotify calls dead', () => {
    test('is believed, and asked about again: by a status call after 30 s, by a sweep after a day', async () => {
      const user = await connect();
      expect(await settle(user, revoked)).toBe('applied');
      expect(await stateOf(user)).toMatchObject({
        reauthorizationReason: 'grant_revoked',
        revocationReason: 'revoked',
        dueAt: null,
        verifyAt: around(DAY),
      });
      expect(await check(user)).toMatchObject({ state: 'reauthorization_required' });
      await tested.letTimePass(30);
      expect(await settle(user, revoked)).toBe('confirmed');
      expect((await claim()).leases).toEqual([]);
      await tested.letTimePass(DAY);
      const { leases } = await claim();
      // Nobody is told to reconnect for what may turn out to be a mistake in a moment.
      expect(await check(user)).toMatchObject({ state: 'busy', isRevoked: true });
      expect(await record(leases[0] as Lease, refreshed)).toBe('applied');
      expect(await stateOf(user)).toMatchObject({ reauthorizationRequiredSince: null, verifyAt: null });
    });

    test('is asked about after an hour where it was seen alive, then once a quarter of its age', async () => {
      const user = await connect();
      await settle(user, { ...refreshed, expiresInSeconds: 60 });
      await settle(user, revoked);
      expect(await stateOf(user)).toMatchObject({ verifyAt: around(HOUR) });
      await tested.letTimePass(8 * HOUR);
      await settle(user, revoked);
      expect(await stateOf(user)).toMatchObject({ verifyAt: around(2 * HOUR) });
    });

    test('loses its tokens after the grace period, and the user is still told to reconnect', async () => {
      const user = await connect();
      await settle(user, revoked);
      expect(await clearDeadGrants()).toMatchObject({ cleared: 0, done: true });
      await tested.letTimePass(8 * DAY);
      expect(await clearDeadGrants()).toEqual({ cleared: 1, refusals: [], done: true });
      expect(await stateOf(user)).toMatchObject({ accessToken: null, refreshToken: null, verifyAt: null });
      expect(await check(user)).toMatchObject({ state: 'reauthorization_required' });
    });

    test('is due again once an operator has restored it', async () => {
      const user = await connect();
      await settle(user, revoked);
      expect(await tested.restore()).toBe(1);
      expect(await stateOf(user)).toMatchObject({ reauthorizationRequiredSince: null, failures: 0 });
      expect(await check(user)).toMatchObject({ state: 'leased' });
    });
  });

  describe('the revocation breaker', () => {
    test('holds what Spotify calls dead: it counts as a failure, and is asked again soon', async () => {
      await openBreaker();
      const user = await connect();
      const lease = await leaseOn(user);
      expect(
        await tested.store.record([{ lease, outcome: { ...revoked, retryAfterSeconds: HOUR } }], 1_000),
      ).toMatchObject({ verdicts: new Map([[lease.leaseId, 'held']]), breakerIsOpen: true });
      expect(await stateOf(user)).toMatchObject({
        failures: 1,
        reauthorizationRequiredSince: null,
        heldSince: around(0),
        claimableAt: around(15 * MINUTE),
      });
      expect(await check(user)).toMatchObject({ state: 'backing_off', isRevoked: true });
    });

    test('undoes the marks that opened it, and asks about them again within a minute', async () => {
      const users = await openBreaker();
      for (const user of users) {
        expect(await stateOf(user)).toMatchObject({
          reauthorizationRequiredSince: null,
          heldSince: around(0),
          claimableAt: around(60),
        });
      }
    });

    test('lets no token be removed while it is open', async () => {
      const user = await connect();
      await settle(user, revoked);
      await tested.letTimePass(8 * DAY);
      await openBreaker();
      expect(await clearDeadGrants()).toEqual({ cleared: 0, refusals: [], done: true });
    });

    test('does not open for grants that nobody has seen alive', async () => {
      await tested.populate(5, 1_000);
      for (let users = 0; users < 10; users += 1) {
        expect(await settle(await connect(), revoked)).toBe('applied');
      }
    });

    test('is closed for nothing when nearly all are refused: nobody is believed, however long', async () => {
      await tested.populate(100, 0);
      for (let users = 0; users < 4; users += 1) {
        expect(await settle(await connect(), revoked)).toBe('applied');
      }
      const user = await connect();
      expect(await settle(user, revoked)).toBe('held');
      await tested.letTimePass(3 * DAY);
      expect(await settle(user, revoked)).toBe('held');
    });
  });
});

async function connect(columns: Written = {}): Promise<string> {
  const user = randomUUID();
  await tested.signUp(user);
  await tested.write(user, {
    accessToken: `access-of-${user}`,
    refreshToken: `refresh-of-${user}`,
    expiresInSeconds: 60,
    ...columns,
  });
  return user;
}

function check(user: string): Promise<ConnectionCheck> {
  return tested.store.check(user, 5 * MINUTE, LEASE, 1_000);
}

async function leaseOn(user: string): Promise<Lease> {
  // Also where the token is fresh, as operators do.
  const found = await tested.store.check(user, null, LEASE, 1_000);
  if (found.state !== 'leased') throw new Error(`expected a lease, got ${found.state}`);
  return found.lease;
}

function claim(request: Partial<ClaimRequest> = {}) {
  return tested.store.claimDue(
    {
      batchSize: 100,
      refreshWithinSeconds: WINDOW,
      leaseSeconds: 5 * MINUTE,
      sweepAgeSeconds: 0,
      callsPerSecond: null,
      dueFrom: null,
      ...request,
    },
    1_000,
  );
}

async function record(lease: Lease, outcome: RefreshOutcome): Promise<Verdict | undefined> {
  const { verdicts } = await tested.store.record([{ lease, outcome }], 1_000);
  return verdicts.get(lease.leaseId);
}

async function settle(user: string, outcome: RefreshOutcome): Promise<Verdict | undefined> {
  return record(await leaseOn(user), outcome);
}

function clearDeadGrants() {
  return tested.store.clearDeadGrants(7 * DAY, 100, 1_000);
}

/** Five of few connections, all seen alive, are called dead at once; returns who. */
async function openBreaker(): Promise<string[]> {
  await tested.populate(5, 1_000);
  const users: string[] = [];
  for (let count = 0; count < 5; count += 1) {
    const user = await connect();
    await settle(user, { ...refreshed, expiresInSeconds: 20 * HOUR });
    users.push(user);
  }
  for (const user of users) await settle(user, revoked);
  return users;
}

async function stateOf(user: string): Promise<State> {
  const state = (await tested.states()).get(user);
  if (state === undefined) throw new Error('the test never connected this user');
  return state;
}

/** Within five seconds: so long may a busy machine take from one call of a real database to the next. */
function around(seconds: number) {
  return expect.closeTo(seconds, -1);
}
