import { beforeEach, describe, expect, test } from '@jest/globals';
import { StoreError } from '../../../lambda/connection/connection-store.ts';
import type { Lease } from '../../../lambda/connection/lease.ts';
import { refreshConnection } from '../../../lambda/connection/refresh-connection.ts';
import { SecretError } from '../../../lambda/connection/secret-error.ts';
import type { TokenAnswer } from '../../../lambda/connection/token-endpoint.ts';
import { answersOfEachKind, FakeTokenEndpoint, refreshedAnswer } from '../fakes/fake-token-endpoint.ts';
import { InMemoryConnectionStore } from '../fakes/in-memory-connection-store.ts';
import { InMemoryRescueQueue } from '../fakes/in-memory-rescue-queue.ts';
import { RecordingLog } from '../fakes/recording-log.ts';
import { RecordingMetrics } from '../fakes/recording-metrics.ts';
import { VirtualClock } from '../fakes/virtual-clock.ts';

let clock: VirtualClock;
let store: InMemoryConnectionStore;
let rescueQueue: InMemoryRescueQueue;
let log: RecordingLog;
let metrics: RecordingMetrics;

beforeEach(() => {
  clock = new VirtualClock();
  store = new InMemoryConnectionStore(clock);
  rescueQueue = new InMemoryRescueQueue();
  log = new RecordingLog();
  metrics = new RecordingMetrics();
});

describe('refreshing a leased connection', () => {
  test('stores the new tokens, and the expiry counted from when the lease was taken', async () => {
    const lease = await leaseOn('a');
    const answer = refreshedAnswer({ rotated: true });
    expect(await refresh(lease, () => answer)).toEqual({ answer, outcome: answer, verdict: 'applied' });
    expect(store.connection('a')).toMatchObject({
      ...(answer.kind === 'refreshed' && {
        accessToken: answer.accessToken,
        refreshToken: answer.refreshToken,
      }),
      expiresAt: Number(lease.leasedAt) + 3_600_000,
      leaseId: null,
    });
  });

  test('keeps the stored refresh token when the answer carries none', async () => {
    await refresh(await leaseOn('a'), () => refreshedAnswer());
    expect(store.connection('a').refreshToken).toBe('refresh-token-of-a');
  });

  test('counts when Spotify refuses our client, and nothing else', async () => {
    await refresh(await leaseOn('a'), () => ({ kind: 'unavailable', reason: 'status 503' }));
    expect(metrics.added).toEqual([]);
    await refresh(await leaseOn('b'), () => ({ kind: 'client_rejected', reason: 'invalid_client' }));
    expect(metrics.added).toEqual([{ clientRejected: 1 }]);
  });

  test('reports that the connection has changed meanwhile, and leaves it alone', async () => {
    const lease = await leaseOn('a');
    const { verdict } = await refresh(lease, () => {
      store.connect('a', 3_600, { refreshToken: 'written-meanwhile' });
      return refreshedAnswer();
    });
    expect(verdict).toBe('stale');
    expect(store.connection('a')).toMatchObject({
      refreshToken: 'written-meanwhile',
      accessToken: 'access-token-of-a',
    });
  });

  test('is unsettled when the outcome could not be written before the deadline', async () => {
    const lease = await leaseOn('a');
    store.beforeEach = () => {
      throw new StoreError('STORE_UNAVAILABLE', 'down');
    };
    expect((await refresh(lease, () => refreshedAnswer())).verdict).toBe('unsettled');
  });

  test('hands the lease back when the credentials cannot be read', async () => {
    const failure = new SecretError('SECRET_NOT_FILLED_IN', 'fill it in');
    const lease = await leaseOn('a');
    const attempt = refresh(lease, () => {
      throw failure;
    });
    await expect(attempt).rejects.toBe(failure);
    expect(store.recorded).toMatchObject([{ settled: { outcome: { kind: 'released' } } }]);
    expect(store.connection('a')).toMatchObject({ leaseId: null, claimableAt: null, failures: 0 });
  });
});

describe('the line that a refresh leaves in the log', () => {
  test('says whose, what Spotify answered, and what the database made of it', async () => {
    const lease = { ...(await leaseOn('a')), leasedAt: '2026-11-24T12:00:00.000000+00:00' };
    await refresh(lease, () => refreshedAnswer());
    expect(log.lines).toEqual([
      {
        level: 'info',
        message: 'token refresh',
        fields: {
          user_id: 'a',
          outcome: 'refreshed',
          reason: undefined,
          verdict: 'applied',
          expires_at: '2026-11-24T12:01:00.000Z',
          seconds_left: 60,
          needs_refresh: true,
          new_expires_at: '2026-11-24T13:00:00.000Z',
        },
      },
    ]);
  });

  test('is a warning with the reason when it failed', async () => {
    await refresh(await leaseOn('a'), () => ({ kind: 'rejected', reason: 'invalid_request' }));
    expect(log.lines).toMatchObject([
      { level: 'warn', fields: { outcome: 'rejected', reason: 'invalid_request', verdict: 'applied' } },
    ]);
  });

  test('says released when time was too short to ask Spotify', async () => {
    const lease = await leaseOn('a');
    const { answer } = await refresh(lease, () => refreshedAnswer(), 1_000);
    expect(answer).toBeNull();
    expect(log.lines).toMatchObject([{ level: 'warn', fields: { outcome: 'released', verdict: 'applied' } }]);
  });

  test.each(answersOfEachKind)('carries no token when the answer is $kind', async (answer) => {
    await refresh(await leaseOn('a'), () => answer);
    const text = JSON.stringify(log.lines);
    expect(text).toContain('"user_id":"a"');
    expect(text).not.toMatch(/access-token|refresh-token/);
  });
});

async function leaseOn(userId: string): Promise<Lease> {
  store.connect(userId, 60.005);
  const check = await store.check(userId, 300, 30, 1_000);
  if (check.state !== 'leased') {
    throw new Error(`expected a lease, got ${check.state}`);
  }
  return check.lease;
}

function refresh(lease: Lease, answer: () => TokenAnswer, milliseconds = 20_000) {
  const policy = { attempts: 1, callTimeoutMilliseconds: 4_000 };
  return refreshConnection(lease, policy, clock.monotonicMilliseconds() + milliseconds, {
    store,
    rescueQueue,
    tokenEndpoint: new FakeTokenEndpoint(clock, answer),
    clock,
    random: () => 0.5,
    log,
    metrics,
  });
}
