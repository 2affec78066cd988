import { beforeEach, describe, expect, test } from '@jest/globals';
import { StoreError } from '../../../lambda/connection/connection-store.ts';
import type { TokenAnswer } from '../../../lambda/connection/token-endpoint.ts';
import { refreshUser } from '../../../lambda/sweeper/refresh-user.ts';
import { FakeTokenEndpoint, refreshedAnswer } from '../fakes/fake-token-endpoint.ts';
import { InMemoryConnectionStore } from '../fakes/in-memory-connection-store.ts';
import { InMemoryRescueQueue } from '../fakes/in-memory-rescue-queue.ts';
import { aLease } from '../fakes/leases.ts';
import { RecordingLog } from '../fakes/recording-log.ts';
import { RecordingMetrics } from '../fakes/recording-metrics.ts';
import { aRotation } from '../fakes/rotations.ts';
import { VirtualClock } from '../fakes/virtual-clock.ts';

const USER = 'the-user';

let clock: VirtualClock;
let store: InMemoryConnectionStore;
let rescueQueue: InMemoryRescueQueue;
let answer: () => TokenAnswer;
let spotify: FakeTokenEndpoint;

beforeEach(() => {
  clock = new VirtualClock();
  store = new InMemoryConnectionStore(clock);
  rescueQueue = new InMemoryRescueQueue();
  answer = () => refreshedAnswer();
  spotify = new FakeTokenEndpoint(clock, () => answer());
});

describe('refreshing one user by hand', () => {
  test.each([3_500, -60, null])('refreshes the token that has %p s left', async (seconds) => {
    store.connect(USER, seconds);
    expect(await refresh()).toEqual({ user_id: USER, outcome: 'refreshed' });
    expect(store.secondsLeft(USER)).toBeGreaterThan(3_590);
    expect(spotify.calls).toMatchObject([{ timeoutMilliseconds: 5_000 }]);
  });

  test('stores what waits in the rescue queue first: Spotify is sent the token that lives', async () => {
    store.connect(USER, 60);
    const refreshToken = `refresh-token-of-${USER}`;
    const rotation = aRotation(aLease({ userId: USER, refreshToken, leasedAt: '0' }));
    rescueQueue.add(rotation);
    expect(await refresh()).toEqual({ user_id: USER, outcome: 'refreshed' });
    expect(spotify.calls.map((call) => call.refreshToken)).toEqual([rotation.outcome.refreshToken]);
  });

  test('says that a user is not connected', async () => {
    expect(await refresh()).toEqual({ user_id: USER, outcome: 'disconnected' });
    expect(store.calls).toEqual(['record', 'check']);
    expect(store.timeouts).toEqual([10_000, 10_000]);
  });

  test('asks about a dead grant once more, and leaves it alone where that was done a moment ago', async () => {
    store.connect(USER, 60);
    store.settle(USER, { kind: 'revoked', reason: 'revoked', retryAfterSeconds: 60 });
    expect(await refresh()).toEqual({ user_id: USER, outcome: 'reauthorization_required' });
    expect(spotify.calls).toHaveLength(0);
    clock.advance(30_000);
    expect(await refresh()).toEqual({ user_id: USER, outcome: 'refreshed' });
  });

  test('leaves a connection alone that somebody else is refreshing, and says for how long', async () => {
    store.connect(USER, 60);
    store.leaseElsewhere(USER, 30);
    expect(await refresh()).toEqual({ user_id: USER, outcome: 'busy', retry_after: 30 });
  });

  test('leaves a connection alone that backs off, and says for how long', async () => {
    store.connect(USER, 60);
    store.settle(USER, { kind: 'unavailable', retryAfterSeconds: 90 });
    expect(await refresh()).toEqual({ user_id: USER, outcome: 'backing_off', retry_after: 90 });
    expect(spotify.calls).toHaveLength(0);
  });

  test('reports a revoked grant', async () => {
    store.connect(USER, 60);
    answer = () => ({ kind: 'revoked', reason: 'expired' });
    expect(await refresh()).toEqual({ user_id: USER, outcome: 'revoked', reason: 'expired' });
  });

  test('reports a revocation that the breaker does not believe, and when it asks again', async () => {
    store.connect(USER, 60);
    store.openBreaker();
    answer = () => ({ kind: 'revoked', reason: 'expired' });
    expect(await refresh()).toEqual({
      user_id: USER,
      outcome: 'held',
      reason: 'expired',
      retry_after: expect.any(Number),
    });
  });

  test('reports why it failed and when it may be tried again', async () => {
    store.connect(USER, 60);
    answer = () => ({ kind: 'unavailable', reason: 'status 503' });
    expect(await refresh()).toEqual({
      user_id: USER,
      outcome: 'unavailable',
      reason: 'status 503',
      retry_after: 23,
    });
    expect(spotify.calls).toHaveLength(2);

    clock.advance(30_000);
    answer = () => ({ kind: 'throttled', retryAfterSeconds: 120 });
    expect(await refresh()).toEqual({ user_id: USER, outcome: 'throttled', retry_after: 120 });
  });

  test('reports a rejected client, and frees the connection', async () => {
    store.connect(USER, 60);
    answer = () => ({ kind: 'client_rejected', reason: 'invalid_client' });
    expect(await refresh()).toEqual({ user_id: USER, outcome: 'client_rejected', reason: 'invalid_client' });
    expect(store.connection(USER)).toMatchObject({ leaseId: null, claimableAt: null });
  });

  test('says that there was no time to ask Spotify', async () => {
    store.connect(USER, 60);
    rescueQueue.receive = async () => {
      await clock.sleep(20_000);
      return [];
    };
    expect(await refresh()).toEqual({ user_id: USER, outcome: 'released' });
    expect(spotify.calls).toHaveLength(0);
  });

  test("says that Bondhu's schema refuses the tokens", async () => {
    store.connect(USER, 60);
    store.model.usersRefusingTokens.add(USER);
    expect(await refresh()).toEqual({ user_id: USER, outcome: 'refused' });
  });

  test('does not call refreshed what was not stored', async () => {
    store.connect(USER, 60);
    answer = () => {
      store.connect(USER, 3_600, { refreshToken: 'of-a-new-authorization' });
      return refreshedAnswer();
    };
    expect(await refresh()).toMatchObject({ outcome: 'stale' });

    clock.advance(30_000);
    answer = () => refreshedAnswer();
    store.beforeEach = (method) => {
      if (method === 'record') {
        throw new StoreError('STORE_UNAVAILABLE', 'down');
      }
    };
    expect(await refresh()).toMatchObject({ outcome: 'unsettled' });
  });
});

function refresh() {
  return refreshUser(USER, {
    store,
    rescueQueue,
    tokenEndpoint: spotify,
    clock,
    random: () => 0.5,
    log: new RecordingLog(),
    metrics: new RecordingMetrics(),
  });
}
