import { beforeEach, describe, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { StoreError } from '../../../lambda/connection/connection-store.ts';
import { SecretError } from '../../../lambda/connection/secret-error.ts';
import type { TokenAnswer } from '../../../lambda/connection/token-endpoint.ts';
import { checkConnection } from '../../../lambda/status/check-connection.ts';
import { answersOfEachKind, FakeTokenEndpoint, refreshedAnswer } from '../fakes/fake-token-endpoint.ts';
import { InMemoryConnectionStore } from '../fakes/in-memory-connection-store.ts';
import { InMemoryRescueQueue } from '../fakes/in-memory-rescue-queue.ts';
import { RecordingLog } from '../fakes/recording-log.ts';
import { RecordingMetrics } from '../fakes/recording-metrics.ts';
import { VirtualClock } from '../fakes/virtual-clock.ts';

const USER = 'the-user';
const BUDGET_MILLISECONDS = 8_000;

let clock: VirtualClock;
let store: InMemoryConnectionStore;
let rescueQueue: InMemoryRescueQueue;
let answer: (refreshToken: string) => TokenAnswer;
let latencyMilliseconds: number;
let spotify: FakeTokenEndpoint;

beforeEach(() => {
  clock = new VirtualClock();
  store = new InMemoryConnectionStore(clock);
  rescueQueue = new InMemoryRescueQueue();
  answer = () => refreshedAnswer();
  latencyMilliseconds = 100;
  spotify = new FakeTokenEndpoint(
    clock,
    (token) => answer(token),
    () => latencyMilliseconds,
  );
});

describe('a user whose token has time left', () => {
  test('is connected, for one call to the database and none to Spotify', async () => {
    store.connect(USER, 3_000);
    expect(await check()).toMatchObject({
      kind: 'connected',
      details: { spotifyUserId: 'spotify-of-the-user', spotifyUserEmail: 'the-user@example.com' },
      autoRefreshed: false,
      degraded: false,
    });
    expect(store.calls).toEqual(['check']);
    expect(spotify.calls).toHaveLength(0);
  });

  test('is connected even while another process refreshes the token early', async () => {
    store.connect(USER, 600);
    store.leaseElsewhere(USER, 60);
    expect(await check()).toMatchObject({ kind: 'connected', degraded: false });
    expect(store.calls).toEqual(['check']);
  });
});

test('a user who never connected is not connected', async () => {
  expect(await check()).toEqual({ kind: 'not_connected' });
  expect(store.calls).toEqual(['check']);
});

describe('a user whose token is about to run out', () => {
  test('gets a fresh one before the answer', async () => {
    store.connect(USER, 180);
    const status = await check();
    expect(status).toMatchObject({ kind: 'connected', autoRefreshed: true, degraded: false });
    expect(secondsLeft(status)).toBeGreaterThan(3_590);
    expect(store.calls).toEqual(['check', 'record', 'check']);
    expect(spotify.calls).toMatchObject([{ refreshToken: 'refresh-token-of-the-user' }]);
  });

  test.each([-600, null])('gets a fresh one also when %p seconds are left', async (seconds) => {
    store.connect(USER, seconds);
    expect(await check()).toMatchObject({ kind: 'connected', autoRefreshed: true });
  });

  test.each([2, 60, 299])('gets one once, also where it lives for no longer than %p s', async (seconds) => {
    store.connect(USER, 180);
    answer = () => refreshedAnswer({ expiresInSeconds: seconds });
    expect(await check()).toMatchObject({ kind: 'connected', autoRefreshed: true, degraded: false });
    expect(spotify.calls).toHaveLength(1);
  });

  test('gets one once, also where it has run out when it arrives: then a request half a minute later tries again', async () => {
    store.connect(USER, -60);
    latencyMilliseconds = 1_500;
    answer = () => refreshedAnswer({ expiresInSeconds: 1 });
    expect(await check()).toMatchObject({ kind: 'refresh_failed', retryAfterSeconds: 30 });
    expect(spotify.calls).toHaveLength(1);

    clock.advance(30_001);
    answer = () => refreshedAnswer();
    expect(await check()).toMatchObject({ kind: 'connected', autoRefreshed: true });
  });

  test('gets the same one from every request within half a minute', async () => {
    store.connect(USER, 180);
    answer = () => refreshedAnswer({ expiresInSeconds: 60 });
    await check();
    expect(await check()).toMatchObject({ kind: 'connected', autoRefreshed: false, degraded: false });
    expect(spotify.calls).toHaveLength(1);
    clock.advance(31_000);
    expect(await check()).toMatchObject({ kind: 'connected', autoRefreshed: true });
    expect(spotify.calls).toHaveLength(2);
  });

  test('takes a lease of 15 s: longer than a request, and short for those that wait when it dies', async () => {
    store.connect(USER, 60);
    const taken = jest.spyOn(store, 'check');

    await check();

    expect(taken.mock.calls.map(([, , leaseSeconds]) => leaseSeconds)).toEqual([15, 15]);
  });

  test('is told of the refresh once', async () => {
    store.connect(USER, 180);
    await check();
    expect(await check()).toMatchObject({ kind: 'connected', autoRefreshed: false });
    expect(spotify.calls).toHaveLength(1);
  });

  test('gets a fresh one although Spotify failed at first', async () => {
    store.connect(USER, 180);
    const answers = [unavailable(), unavailable(), refreshedAnswer()].values();
    answer = () => answers.next().value as TokenAnswer;
    expect(await check()).toMatchObject({ kind: 'connected', autoRefreshed: true });
  });
});

describe('while another process refreshes the connection', () => {
  test('waits for their fresh token, and does not claim it as its own', async () => {
    store.connect(USER, 60);
    const [one, other] = await Promise.all([check(), check()]);
    expect([one, other]).toMatchObject([
      { kind: 'connected', autoRefreshed: true },
      { kind: 'connected', autoRefreshed: false, degraded: false },
    ]);
    expect(secondsLeft(other)).toBeGreaterThan(3_590);
    expect(spotify.calls).toHaveLength(1);
  });

  test('waits 4 s and no longer while the old token works', async () => {
    store.connect(USER, 60);
    store.leaseElsewhere(USER, 60);
    const { status, seconds } = await timed(check);
    expect(status).toMatchObject({ kind: 'connected', autoRefreshed: false, degraded: true });
    expect(seconds).toBeGreaterThan(2.5);
    expect(seconds).toBeLessThanOrEqual(4);
  });

  test('waits for as long as the request may last when the old token has run out', async () => {
    store.connect(USER, -60);
    store.leaseElsewhere(USER, 60);
    const { status, seconds } = await timed(check);
    expect(status).toMatchObject({ kind: 'refresh_failed', retryAfterSeconds: 53 });
    expect(seconds).toBeGreaterThan(6.5);
    expect(seconds).toBeLessThan(8);
  });

  test('asks about five times a second', async () => {
    store.connect(USER, 60);
    store.leaseElsewhere(USER, 60);
    const { seconds } = await timed(check);
    expect(store.callsOf('check')).toBeGreaterThan(4 * seconds);
    expect(store.callsOf('check')).toBeLessThanOrEqual(5 * seconds + 1);
  });

  test('gives each question 3 s, or less if the request has less', async () => {
    store.connect(USER, -60);
    store.leaseElsewhere(USER, 60);
    const deadline = clock.monotonicMilliseconds() + BUDGET_MILLISECONDS;
    const answerInTime = store.check.bind(store);
    const timeouts: number[] = [];
    const timesLeft: number[] = [];
    store.check = (...parameters) => {
      timeouts.push(parameters[3]);
      timesLeft.push(deadline - clock.monotonicMilliseconds());
      return answerInTime(...parameters);
    };
    await check();
    expect(timeouts).toEqual(timesLeft.map((left) => Math.min(3_000, left)));
    expect(timesLeft.at(-1)).toBeLessThan(3_000);
  });

  test('takes over when their lease lapses', async () => {
    store.connect(USER, 60);
    store.leaseElsewhere(USER, 1);
    expect(await check()).toMatchObject({ kind: 'connected', autoRefreshed: true });
  });

  test('takes a row that stays locked for an outage, never for a missing connection', async () => {
    store.connect(USER, -60);
    store.model.lockedUsers.add(USER);
    expect(await check()).toMatchObject({ kind: 'refresh_failed', retryAfterSeconds: 1 });
  });

  test('takes a token that a locked row hides for none that works', async () => {
    store.check = async () => ({ state: 'busy', details: null, retryInSeconds: 0, isRevoked: false });
    expect(await check()).toMatchObject({ kind: 'refresh_failed', details: null });
  });
});

describe('when the refresh fails for now', () => {
  const failures: TokenAnswer[] = [
    unavailable(),
    { kind: 'rejected', reason: 'invalid_request' },
    { kind: 'client_rejected', reason: 'invalid_client' },
    { kind: 'throttled', retryAfterSeconds: 3_600 },
  ];

  test.each(failures)('because it is $kind, a token that still works makes it degraded', async (failure) => {
    store.connect(USER, 60);
    answer = () => failure;
    expect(await check()).toMatchObject({ kind: 'connected', autoRefreshed: false, degraded: true });
    expect(store.connection(USER)).toMatchObject({ leaseId: null, reauthorizationRequiredSince: null });
  });

  test.each(failures)('because it is $kind, a token that has run out makes it retryable', async (failure) => {
    store.connect(USER, -60);
    answer = () => failure;
    expect(await check()).toMatchObject({ kind: 'refresh_failed', retryAfterSeconds: expect.any(Number) });
  });

  test.each([
    [1, 'connected'],
    [0, 'refresh_failed'],
    [null, 'refresh_failed'],
  ])('a token that has %p s left means: %s', async (secondsLeft, kind) => {
    const details = {
      spotifyUserId: null,
      spotifyUserEmail: null,
      connectedAt: null,
      expiresAt: null,
      reauthorizeBy: null,
      secondsLeft,
    };
    store.check = async () => ({ state: 'backing_off', details, retryInSeconds: 60, isRevoked: false });
    expect(await check()).toMatchObject({ kind });
  });

  test('Spotify has been asked three times', async () => {
    store.connect(USER, 60);
    answer = unavailable;
    await check();
    expect(spotify.calls).toHaveLength(3);
  });

  test('for want of time to ask Spotify, the lease goes back, and the user is told when to come back', async () => {
    store.connect(USER, -60);
    expect(await check(3_000)).toMatchObject({ kind: 'refresh_failed', retryAfterSeconds: 10 });
    expect(store.calls).toEqual(['check', 'record']);
    expect(store.connection(USER).leaseId).toBeNull();
  });

  test('tells when to come back, in whole seconds of at least one', async () => {
    store.connect(USER, -60);
    answer = () => ({ kind: 'throttled', retryAfterSeconds: 3_600 });
    expect(await check()).toMatchObject({ kind: 'refresh_failed', retryAfterSeconds: 3_600 });
  });

  test('does not ask Spotify again, for whomever, while everybody has to wait', async () => {
    store.connect(USER, -60);
    answer = () => ({ kind: 'client_rejected', reason: 'invalid_client' });
    expect(await check()).toMatchObject({ kind: 'refresh_failed', retryAfterSeconds: 60 });
    expect(await check()).toMatchObject({ kind: 'refresh_failed', retryAfterSeconds: 60 });
    expect(spotify.calls).toHaveLength(1);
  });

  test('does not believe a revocation while the breaker is open', async () => {
    store.connect(USER, -60);
    store.openBreaker();
    answer = () => ({ kind: 'revoked', reason: 'revoked' });
    expect(await check()).toMatchObject({ kind: 'refresh_failed' });
    expect(store.connection(USER)).toMatchObject({ reauthorizationRequiredSince: null });
  });

  test('the next request does not call Spotify until the backoff is over', async () => {
    store.connect(USER, 60);
    answer = unavailable;
    await check();
    const callsOfTheFirst = spotify.calls.length;
    await check();
    expect(spotify.calls).toHaveLength(callsOfTheFirst);
  });

  test('a Spotify that hangs does not take the request beyond its budget', async () => {
    store.connect(USER, -60);
    latencyMilliseconds = 60_000;
    const { status, seconds } = await timed(check);
    expect(status).toMatchObject({ kind: 'refresh_failed' });
    expect(seconds).toBeLessThan(BUDGET_MILLISECONDS / 1_000);
  });

  test('credentials that cannot be read are passed on, and the lease handed back', async () => {
    store.connect(USER, 60);
    const failure = new SecretError('SECRET_UNREADABLE', 'denied');
    answer = () => {
      throw failure;
    };
    await expect(check()).rejects.toBe(failure);
    expect(store.connection(USER).leaseId).toBeNull();
  });
});

describe('when Spotify says that the grant is revoked', () => {
  beforeEach(() => {
    answer = () => ({ kind: 'revoked', reason: 'revoked' });
  });

  test('a token that still works makes it degraded', async () => {
    store.connect(USER, 60);
    expect(await check()).toMatchObject({ kind: 'connected', autoRefreshed: false, degraded: true });
  });

  test('a token that has run out makes the user reconnect', async () => {
    store.connect(USER, -60);
    expect(await check()).toEqual({ kind: 'reauthorization_required' });
  });

  test('it is not asked again', async () => {
    store.connect(USER, -60);
    await check();
    expect(await check()).toEqual({ kind: 'reauthorization_required' });
    expect(spotify.calls).toHaveLength(1);
  });

  test('a user who reconnected meanwhile is connected', async () => {
    store.connect(USER, -60);
    answer = () => {
      store.connect(USER, 3_600, { refreshToken: 'of-a-new-authorization' });
      return { kind: 'revoked', reason: 'revoked' };
    };
    expect(await check()).toMatchObject({ kind: 'connected', autoRefreshed: false, degraded: false });
  });
});

describe('a refresh whose outcome is not stored by this request', () => {
  test('because of a write meanwhile: the new state is read, and nothing is claimed', async () => {
    store.connect(USER, 60);
    answer = () => {
      store.connect(USER, 1_800, { accessToken: 'written-meanwhile' });
      return refreshedAnswer();
    };
    const status = await check();
    expect(status).toMatchObject({ kind: 'connected', autoRefreshed: false, degraded: false });
    expect(secondsLeft(status)).toBeLessThan(1_801);
    expect(store.connection(USER).accessToken).toBe('written-meanwhile');
  });

  test("because Bondhu's schema refuses the token: the refresh is not claimed", async () => {
    store.connect(USER, 60);
    store.model.usersRefusingTokens.add(USER);
    expect(await check()).toMatchObject({ kind: 'connected', autoRefreshed: false, degraded: true });
  });

  test.each([unavailable(), refreshedAnswer()])(
    'because it failed ($kind): what the user stores a moment later is not claimed',
    async (tokens) => {
      store.connect(USER, 60);
      store.model.usersRefusingTokens.add(USER);
      answer = () => tokens;
      store.beforeEach = (method) => {
        if (method === 'check' && store.recorded.length === 1) {
          store.connect(USER, 3_600, { refreshToken: 'of-a-new-authorization' });
        }
      };
      expect(await check()).toMatchObject({ kind: 'connected', autoRefreshed: false, degraded: false });
    },
  );

  test('because the user disconnected meanwhile: not connected', async () => {
    store.connect(USER, 60);
    answer = () => {
      store.disconnect(USER);
      return refreshedAnswer();
    };
    expect(await check()).toEqual({ kind: 'not_connected' });
  });

  test.each([
    [60, { kind: 'connected', autoRefreshed: false, degraded: true }],
    [-60, { kind: 'refresh_failed', retryAfterSeconds: 10, isRevoked: false }],
  ])(
    'because the database is down, with %p s left: the truth before the refresh',
    async (seconds, status) => {
      store.connect(USER, seconds);
      store.beforeEach = (method) => {
        if (method === 'record') {
          throw new StoreError('STORE_UNAVAILABLE', 'down');
        }
      };
      expect(await check()).toMatchObject(status);
    },
  );
});

test('no sequence of answers makes one request refresh twice, and what it says about its refresh is true', async () => {
  const answers = fc.oneof(
    fc.constantFrom(...answersOfEachKind),
    fc.integer({ min: 1, max: 600 }).map((expiresInSeconds) => refreshedAnswer({ expiresInSeconds })),
  );
  const steps = fc.record({
    answer: answers,
    milliseconds: fc.nat(5_000),
    /** The write meanwhile: seconds until the expiry, null for an unknown one, undefined for nothing. */
    written: fc.option(fc.option(fc.integer({ min: -60, max: 3_600 })), { nil: undefined }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(steps, { minLength: 1, maxLength: 6 }),
      fc.option(fc.integer({ min: -600, max: 299 })),
      fc.boolean(),
      async (sequence, secondsLeftAtFirst, isRefusingTokens) => {
        clock = new VirtualClock();
        store = new InMemoryConnectionStore(clock);
        store.connect(USER, secondsLeftAtFirst);
        if (isRefusingTokens) store.model.usersRefusingTokens.add(USER);
        let step = -1;
        const current = () => sequence[step % sequence.length] ?? never();
        spotify = new FakeTokenEndpoint(
          clock,
          () => {
            const { written } = current();
            if (written !== undefined) store.connect(USER, written, { refreshToken: `written-in-${step}` });
            return current().answer;
          },
          () => {
            step += 1;
            return current().milliseconds;
          },
        );

        const status = await check();

        const refreshes = store.recorded.filter(({ settled }) => settled.outcome.kind !== 'released');
        expect(new Set(spotify.calls.map(({ refreshToken }) => refreshToken)).size).toBe(1);
        expect(refreshes.length).toBeLessThanOrEqual(1);
        expect(store.connection(USER).leaseId).toBeNull();
        const isStored = refreshes.some(
          ({ settled, verdict }) => settled.outcome.kind === 'refreshed' && verdict === 'applied',
        );
        if (status.kind === 'connected') {
          expect(status).toMatchObject({ autoRefreshed: isStored });
          expect(status.degraded && status.autoRefreshed).toBe(false);
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('a database that is out of reach is passed on', async () => {
  const outage = new StoreError('STORE_UNAVAILABLE', 'down');
  store.beforeEach = () => {
    throw outage;
  };
  await expect(check()).rejects.toBe(outage);
});

function check(budgetMilliseconds = BUDGET_MILLISECONDS) {
  return checkConnection(USER, clock.monotonicMilliseconds() + budgetMilliseconds, {
    store,
    rescueQueue,
    tokenEndpoint: spotify,
    clock,
    random: () => 0.5,
    log: new RecordingLog(),
    metrics: new RecordingMetrics(),
    refreshMarginSeconds: 300,
  });
}

async function timed<Status>(act: () => Promise<Status>): Promise<{ status: Status; seconds: number }> {
  const startedAt = clock.monotonicMilliseconds();
  const status = await act();
  return { status, seconds: (clock.monotonicMilliseconds() - startedAt) / 1_000 };
}

function secondsLeft(status: Awaited<ReturnType<typeof check>>): number {
  return (status.kind === 'connected' && status.details.secondsLeft) || Number.NaN;
}

function never(): never {
  throw new Error('a sequence has at least one step');
}

function unavailable(): TokenAnswer {
  return { kind: 'unavailable', reason: 'status 503' };
}
