import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { StoreError } from '../../../lambda/connection/connection-store.ts';
import { SecretError } from '../../../lambda/connection/secret-error.ts';
import type { TokenAnswer } from '../../../lambda/connection/token-endpoint.ts';
import type { SweepPart } from '../../../lambda/sweeper/fan-out.ts';
import { computeSweepLeaseSeconds } from '../../../lambda/sweeper/refresh-due.ts';
import { type SweepDependencies, type SweepResult, sweep } from '../../../lambda/sweeper/sweep.ts';
import type { Connection } from '../fakes/connection-model.ts';
import { answersOfEachKind, FakeTokenEndpoint, refreshedAnswer } from '../fakes/fake-token-endpoint.ts';
import { InMemoryConnectionStore } from '../fakes/in-memory-connection-store.ts';
import { InMemoryRescueQueue } from '../fakes/in-memory-rescue-queue.ts';
import { InMemorySweepQueue } from '../fakes/in-memory-sweep-queue.ts';
import { aLease } from '../fakes/leases.ts';
import { RecordingLog } from '../fakes/recording-log.ts';
import { RecordingMetrics } from '../fakes/recording-metrics.ts';
import { aRotation } from '../fakes/rotations.ts';
import { VirtualClock } from '../fakes/virtual-clock.ts';

const WINDOW_SECONDS = 40 * 60;
const SCHEDULED_AT = '2026-11-24T12:30:00Z';
const HIGHEST_CONCURRENCY = 128;
const INVOCATION_MILLISECONDS = 15 * 60_000;

const revoked = { kind: 'revoked', reason: 'revoked', retryAfterSeconds: 60 } as const;

let clock: VirtualClock;
let store: InMemoryConnectionStore;
let rescueQueue: InMemoryRescueQueue;
let sweepQueue: InMemorySweepQueue;
let log: RecordingLog;
let metrics: RecordingMetrics;
let answer: (refreshToken: string) => TokenAnswer;
let latencyMilliseconds: () => number;
let spotify: FakeTokenEndpoint;

beforeEach(start);

describe('a sweep', () => {
  test('with nothing due asks the database and nobody else', async () => {
    store.connect('fresh', 3_000);
    expect(await run()).toEqual({
      status: 'completed',
      refreshed: 0,
      failed: 0,
      total: 0,
      revoked: 0,
      throttled: 0,
      stale: 0,
      remaining: 0,
      duration_ms: expect.any(Number),
    });
    expect(spotify.calls).toHaveLength(0);
    expect(store.calls).toEqual([
      'record',
      'reconcile',
      'clearDeadGrants',
      'countDue',
      'claimDue',
      'countDue',
    ]);
  });

  test('refreshes what expires within the window, what has expired, and what has no expiry; nothing else', async () => {
    store.connect('soon', WINDOW_SECONDS - 1);
    store.connect('expired', -86_400);
    store.connect('unknown', null);
    store.connect('later', WINDOW_SECONDS + 60);
    store.connect('dead', 60);
    store.settle('dead', revoked);
    expect(await run()).toMatchObject({ status: 'completed', refreshed: 3, total: 3, remaining: 0 });
    expect(spotify.calls.map((call) => call.refreshToken).sort()).toEqual([
      'refresh-token-of-expired',
      'refresh-token-of-soon',
      'refresh-token-of-unknown',
    ]);
    expect(store.connection('later').accessToken).toBe('access-token-of-later');
  });

  test('stores what waits in the rescue queue before it claims: Spotify is sent the token that lives', async () => {
    store.connect('a', -60);
    const refreshToken = 'refresh-token-of-a';
    const rotation = aRotation(aLease({ userId: 'a', refreshToken, leasedAt: '-3600000' }));
    rescueQueue.add(rotation);
    expect(await run()).toMatchObject({ status: 'completed', refreshed: 1 });
    expect(spotify.calls.map((call) => call.refreshToken)).toEqual([rotation.outcome.refreshToken]);
    expect(rescueQueue.messages).toEqual([]);
  });

  test('that loses the database after Spotify rotated the tokens sends them to the rescue queue, and the next stores them', async () => {
    for (let index = 0; index < 30; index += 1) {
      store.connect(`user-${index}`, 60);
    }
    answer = () => {
      store.beforeEach = () => {
        throw new StoreError('STORE_UNAVAILABLE', 'down');
      };
      return refreshedAnswer({ rotated: true });
    };
    await expect(run()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(rescueQueue.messages).toHaveLength(30);

    store.beforeEach = () => {};
    expect(await run()).toMatchObject({ status: 'completed', total: 0 });
    expect(rescueQueue.messages).toEqual([]);
    expect(new Set(store.connections().map((connection) => connection.refreshToken)).size).toBe(30);
    expect(
      store.connections().every(({ refreshToken }) => refreshToken?.startsWith('refresh-token-of') === false),
    ).toBe(true);
  });

  test('goes on batch after batch until nothing is due', async () => {
    connectMany(2_345);
    expect(await run({ batchSize: 500 })).toMatchObject({
      status: 'completed',
      refreshed: 2_345,
      remaining: 0,
    });
    expect(callsOf('claimDue')).toBe(6);
    expect(callsOf('record')).toBe(1 + 5);
    expect(spotify.calls).toHaveLength(2_345);
  });

  test('refreshes nothing twice, even when the fresh token falls into the window at once', async () => {
    connectMany(30);
    answer = () => refreshedAnswer({ expiresInSeconds: 120 });
    expect(await run({ batchSize: 10 })).toMatchObject({ status: 'completed', refreshed: 30, remaining: 30 });
    expect(spotify.calls).toHaveLength(30);
  });

  test('keeps several calls under way, and never more than the pace allows', async () => {
    connectMany(300);
    await run();
    expect(spotify.mostUnderWay).toBeGreaterThanOrEqual(16);
    expect(spotify.mostUnderWay).toBeLessThanOrEqual(HIGHEST_CONCURRENCY);
  });

  test('makes its first call alone, which costs a large sweep no more than that call', async () => {
    connectMany(10_000);
    const { duration_ms } = await run();
    const [first, second] = spotify.calls.map(({ startedAt }) => startedAt);
    expect((second ?? 0) - (first ?? 0)).toBe(latencyMilliseconds());
    // 10,000 calls of 100 ms, 128 at once, are 7.9 s; the rest is the database, and the pace that rises.
    expect(duration_ms).toBeLessThan(8_300);
  });

  test('claims the next batch while the present one is under way', async () => {
    connectMany(1_500);
    const underWayAtClaim: number[] = [];
    store.beforeEach = (method) => {
      if (method === 'claimDue') underWayAtClaim.push(spotify.underWay);
    };
    await run();
    expect(underWayAtClaim).toHaveLength(5);
    // The first; those claimed ahead, the last of which comes back empty; and the one that makes sure of the end.
    expect(underWayAtClaim.map((underWay) => underWay > 0)).toEqual([false, true, true, true, false]);
  });

  test('records an answer within a second where Spotify is too slow to fill a batch', async () => {
    connectMany(500);
    latencyMilliseconds = () => 4_000;
    const answeredAt: number[] = [];
    answer = () => {
      answeredAt.push(clock.monotonicMilliseconds());
      return refreshedAnswer();
    };
    const waits: number[] = [];
    store.beforeEach = (method) => {
      if (method === 'record' && answeredAt.length > 0) {
        waits.push(clock.monotonicMilliseconds() - (answeredAt[0] ?? 0));
        answeredAt.length = 0;
      }
    };
    await run();
    expect(waits.length).toBeGreaterThan(4);
    expect(Math.max(...waits)).toBeLessThanOrEqual(1_005);
  });

  test('slows down while Spotify fails', async () => {
    connectMany(100);
    answer = () => ({ kind: 'unavailable', reason: 'status 503' });
    await run({ milliseconds: 40_000 });
    const progress = log.lines.filter((line) => line.message === 'sweep progress');
    expect(progress.at(-1)).toMatchObject({ fields: { concurrency: 8 } });
  });

  test('heals the queue before it claims, page by page until that is done', async () => {
    store.pagesToReconcile = 3;
    connectLongDead(2);
    await run();
    expect(store.calls.slice(1, 5)).toEqual(['reconcile', 'reconcile', 'reconcile', 'clearDeadGrants']);
    expect(log.lines[0]).toMatchObject({ message: 'sweep maintenance', fields: { dead_grants_cleared: 2 } });
  });

  test('clears all grants that are long dead, however many have died at once', async () => {
    connectLongDead(2_500);
    await run();
    expect(log.lines[0]).toMatchObject({ fields: { dead_grants_cleared: 2_500 } });
  });

  test('claims from where the last full batch ended, and from the beginning after one that was not full', async () => {
    connectMany(250);
    await run({ batchSize: 100 });
    expect(store.dueFrom.slice(0, 4)).toEqual([null, expect.any(String), expect.any(String), null]);
  });

  test('a user whose profile refuses the tokens costs nobody else theirs, and is named', async () => {
    connectMany(20);
    const refusing = store.connections()[3] as Connection;
    store.model.usersRefusingTokens.add(refusing.userId);
    const result = await run({ milliseconds: 60_000 });
    expect(result).toMatchObject({ refreshed: 19 });
    expect(log.lines).toContainEqual({
      level: 'error',
      message: 'profile refuses its tokens',
      fields: { user_id: refusing.userId, sql_state: '23514', constraint: 'bondhus_own' },
    });
    expect(metrics.added).toContainEqual({ profilesRefused: 1 });
  });

  test('refreshes all the same when healing the queue fails', async () => {
    connectMany(3);
    store.beforeEach = (method) => {
      if (method === 'reconcile') {
        throw new StoreError('STORE_UNAVAILABLE', 'statement timeout');
      }
    };
    expect(await run()).toMatchObject({ status: 'completed', refreshed: 3, remaining: 0 });
    expect(log.lines[0]).toMatchObject({ level: 'warn', message: 'sweep maintenance failed' });
  });

  test('does not call Spotify while everybody has to wait, and ends at once', async () => {
    connectMany(3);
    store.model.holdEverybodyBack(3_600);
    expect(await run()).toMatchObject({ status: 'throttled', total: 0, remaining: 3 });
    expect(spotify.calls).toHaveLength(0);
  });

  test('counts what the breaker holds as failed for now, and says that it is open', async () => {
    connectMany(3);
    store.openBreaker();
    answer = () => ({ kind: 'revoked', reason: 'revoked' });
    expect(await run({ milliseconds: 40_000 })).toMatchObject({ revoked: 0, failed: 3, remaining: 3 });
    expect(log.lines).toContainEqual(
      expect.objectContaining({ level: 'error', message: expect.stringContaining('breaker is open') }),
    );
  });

  test('logs each refresh and its progress, and no token', async () => {
    connectMany(20);
    await run();
    expect(log.lines.filter((line) => line.message === 'token refresh')).toHaveLength(20);
    expect(log.lines.filter((line) => line.level !== 'debug').map(({ message }) => message)).toEqual([
      'sweep progress',
    ]);
    expect(JSON.stringify(log.lines)).not.toMatch(/access-token|refresh-token/);
  });

  test('passes a database that is out of reach on', async () => {
    const outage = new StoreError('STORE_UNAVAILABLE', 'down');
    store.beforeEach = () => {
      throw outage;
    };
    await expect(run()).rejects.toBe(outage);
  });
});

describe('a sweep that meets connections which others hold or which back off', () => {
  test('waits for them as long as its time allows', async () => {
    store.connect('held', 60);
    store.hold('held', 400);
    const result = await run();
    expect(result).toMatchObject({ status: 'completed', refreshed: 1, remaining: 0 });
    expect(result.duration_ms).toBeGreaterThan(400_000);
    expect(result.duration_ms).toBeLessThan(401_000);
  });

  test('comes back to a connection whose refresh failed', async () => {
    store.connect('unlucky', 60);
    const answers = [unavailable(), unavailable(), refreshedAnswer()].values();
    answer = () => answers.next().value as TokenAnswer;
    expect(await run()).toMatchObject({
      status: 'completed',
      refreshed: 1,
      failed: 2,
      total: 3,
      remaining: 0,
    });
  });

  test('does not wait longer than its time', async () => {
    store.connect('held', 60);
    store.hold('held', 900);
    const result = await run();
    expect(result).toMatchObject({ status: 'out_of_time', refreshed: 0, remaining: 1 });
    expect(result.duration_ms).toBeLessThan(1_000);
  });

  test('does not wait for those that outlive the next sweep', async () => {
    store.connect('held', WINDOW_SECONDS + 60);
    store.hold('held', 300);
    expect((await run()).duration_ms).toBeLessThan(1_000);
  });
});

describe('a sweep with a ceiling on calls', () => {
  test('spreads them evenly over its time', async () => {
    connectMany(100);
    expect(await run({ callsPerSecond: 20 })).toMatchObject({ status: 'completed', refreshed: 100 });
    expect(mostCallsWithinASecond()).toBeLessThanOrEqual(21);
    const [first, last] = [spotify.calls[0], spotify.calls.at(-1)].map((call) => call?.startedAt ?? 0);
    expect((last ?? 0) - (first ?? 0)).toBeLessThan(6_000);
  });

  test('does not pass it to catch up with what a slow Spotify held up', async () => {
    connectMany(100);
    latencyMilliseconds = () => (spotify.calls.length < 20 ? 2_000 : 10);
    expect(await run({ callsPerSecond: 20 })).toMatchObject({ status: 'completed', refreshed: 100 });
    expect(mostCallsWithinASecond()).toBeLessThanOrEqual(21);
  });

  test('keeps it together with other invocations', async () => {
    connectMany(300);
    const results = await Promise.all([
      run({ callsPerSecond: 50 }),
      run({ callsPerSecond: 50, part: { role: 'helper' } }),
      run({ callsPerSecond: 50, part: { role: 'helper' } }),
    ]);
    expect(results.reduce((sum, { refreshed }) => sum + refreshed, 0)).toBe(300);
    expect(mostCallsWithinASecond()).toBeLessThanOrEqual(51);
  });
});

describe('a sweep with a ceiling that many invocations share', () => {
  test('hands no lease back because its turn came too late, however low the ceiling is', async () => {
    connectMany(100);
    const results = await Promise.all([
      run({ callsPerSecond: 1 }),
      ...Array.from({ length: 5 }, () => run({ callsPerSecond: 1, part: { role: 'helper' } })),
    ]);
    expect(results[0]).toMatchObject({ status: 'completed', remaining: 0 });
    expect(results.reduce((sum, { refreshed }) => sum + refreshed, 0)).toBe(100);
    expect(store.recorded.filter(({ settled }) => settled.outcome.kind === 'released')).toEqual([]);
    expect(mostCallsWithinASecond()).toBeLessThanOrEqual(2);
  });
});

describe('a sweep with more to do than one invocation can', () => {
  test('wakes as many helpers as the connections that are due need, and does its own part', async () => {
    connectMany(95);
    expect(await run({ connectionsPerInvocation: 20 })).toMatchObject({ status: 'completed', refreshed: 95 });
    expect(sweepQueue.wakeUps).toEqual(
      Array(4).fill({ scheduledAt: SCHEDULED_AT, ageSeconds: expect.any(Number), link: 0 }),
    );
  });

  test('never touches the queue where there is not', async () => {
    connectMany(100);
    sweepQueue.isOutOfReach = true;
    await run({ connectionsPerInvocation: 100 });
    expect(sweepQueue.wakeUps).toEqual([]);
    expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });

  test('goes on alone when the queue is out of reach, and says so', async () => {
    connectMany(50);
    sweepQueue.isOutOfReach = true;
    expect(await run({ connectionsPerInvocation: 10 })).toMatchObject({ status: 'completed', refreshed: 50 });
    expect(log.lines).toContainEqual({
      level: 'error',
      message: 'further invocations not woken',
      fields: expect.objectContaining({ code: 'SWEEP_QUEUE_UNAVAILABLE', count: 4 }),
    });
  });

  test('leaves the rest to one more when its time is up', async () => {
    connectMany(5_000);
    latencyMilliseconds = () => 4_000;
    expect(await run({ milliseconds: 120_000 })).toMatchObject({ status: 'out_of_time' });
    const age = expect.closeTo(95, -1);
    expect(sweepQueue.wakeUps).toEqual([{ scheduledAt: SCHEDULED_AT, ageSeconds: age, link: 1 }]);
  });

  test.each([
    ['that has come to its third link', { link: 2 }],
    ['that is as old as the interval', { ageSeconds: 1_750 }],
  ])('leaves none in a chain %s', async (_, part) => {
    connectMany(5_000);
    latencyMilliseconds = () => 4_000;
    expect(await run({ milliseconds: 120_000, part })).toMatchObject({ status: 'out_of_time' });
    expect(sweepQueue.wakeUps).toEqual([]);
  });

  test.each<[string, () => TokenAnswer]>([
    ['Spotify throttles', () => ({ kind: 'throttled', retryAfterSeconds: 60 })],
    ['Spotify rejects the client', () => ({ kind: 'client_rejected', reason: 'invalid_client' })],
    ['nothing succeeds', unavailable],
  ])('leaves none where %s', async (_, say) => {
    connectMany(2_000);
    latencyMilliseconds = () => 4_000;
    answer = say;
    await run({ milliseconds: 60_000 });
    expect(sweepQueue.wakeUps).toEqual([]);
  });

  test('leaves none while the breaker is open', async () => {
    connectMany(2_000);
    latencyMilliseconds = () => 4_000;
    store.openBreaker();
    expect(await run({ milliseconds: 60_000 })).toMatchObject({ status: 'out_of_time' });
    expect(sweepQueue.wakeUps).toEqual([]);
  });
});

describe('an invocation that helps', () => {
  test('refreshes what it can claim, and neither heals the queue nor wakes others', async () => {
    connectMany(95);
    const result = await run({ connectionsPerInvocation: 20, part: { role: 'helper' } });
    expect(result).toMatchObject({ status: 'completed', refreshed: 95 });
    expect(callsOf('reconcile') + callsOf('clearDeadGrants')).toBe(0);
    expect(sweepQueue.wakeUps).toEqual([]);
  });

  test('does not wait for what others hold: the first does', async () => {
    store.connect('held', 60);
    store.hold('held', 400);
    const result = await run({ part: { role: 'helper' } });
    expect(result).toMatchObject({ status: 'completed', refreshed: 0, remaining: 1 });
    expect(result.duration_ms).toBeLessThan(1_000);
  });

  test('refreshes nothing that was refreshed since the sweep began, before it was woken', async () => {
    connectMany(10);
    answer = () => refreshedAnswer({ expiresInSeconds: 120 });
    await run();
    clock.advance(30_000);
    await run({ part: { role: 'helper', ageSeconds: 60 } });
    expect(spotify.calls).toHaveLength(10);
    await run({ part: { role: 'helper', ageSeconds: 10 } });
    expect(spotify.calls).toHaveLength(20);
  });
});

describe('a sweep whose time is up', () => {
  test('says how many remain, has handed back what it did not start, and ends before the invocation', async () => {
    connectMany(5_000);
    latencyMilliseconds = () => 4_000;
    const deadline = clock.monotonicMilliseconds() + 120_000;
    const result = await run({ batchSize: 1_000, milliseconds: 120_000 });
    expect(clock.monotonicMilliseconds()).toBeLessThan(deadline);
    expect(result.status).toBe('out_of_time');
    expect(result.refreshed).toBeGreaterThan(300);
    expect(result.remaining).toBe(5_000 - result.refreshed);
    expectEveryLeaseSettledOnce();
    expect(store.connections().filter((connection) => connection.leaseId !== null)).toEqual([]);
  });

  test('does not claim what it could only hand back', async () => {
    connectMany(1_000);
    latencyMilliseconds = () => 4_500;
    await run({ batchSize: 10, milliseconds: 60_000 });
    const released = store.recorded.filter(({ settled }) => settled.outcome.kind === 'released').length;
    // One batch that was being started, and the next.
    expect(released).toBeLessThanOrEqual(20);
  });

  test('starts no call that would not be over by then', async () => {
    connectMany(500);
    latencyMilliseconds = () => 60_000;
    const deadline = clock.monotonicMilliseconds() + 60_000;
    await run({ milliseconds: 60_000 });
    for (const call of spotify.calls) {
      expect(call.startedAt + call.timeoutMilliseconds).toBeLessThan(deadline - 20_000);
    }
  });
});

describe('a sweep that Spotify throttles', () => {
  test('stops, and hands back what it did not start', async () => {
    connectMany(500);
    answer = () => ({ kind: 'throttled', retryAfterSeconds: 3_600 });
    const result = await run();
    expect(result).toMatchObject({ status: 'throttled', refreshed: 0, remaining: 500 });
    expect(result.throttled).toBe(result.total);
    expect(spotify.calls.length).toBeLessThanOrEqual(16);
    // The first batch and the one claimed ahead.
    expect(callsOf('claimDue')).toBe(2);
    expectEveryLeaseSettledOnce();
    const resting = store
      .connections()
      .filter(({ claimableAt }) => (claimableAt ?? 0) > clock.monotonicMilliseconds());
    expect(resting).toHaveLength(result.throttled);
  });

  test('stores what the calls under way still brought', async () => {
    connectMany(100);
    answer = (token) =>
      token === 'refresh-token-of-user-1' ? { kind: 'throttled', retryAfterSeconds: 60 } : refreshedAnswer();
    const result = await run();
    expect(result).toMatchObject({ status: 'throttled', throttled: 1 });
    expect(result.refreshed).toBe(spotify.calls.length - 1);
    expect(result.refreshed).toBeGreaterThan(0);
  });
});

describe('a sweep whose client Spotify rejects', () => {
  test('stops and changes no connection', async () => {
    connectMany(500);
    const before = structuredClone(store.connections());
    answer = () => ({ kind: 'client_rejected', reason: 'invalid_client' });
    expect(await run()).toMatchObject({ status: 'client_rejected', total: 0, remaining: 500 });
    expect(spotify.calls).toHaveLength(1);
    expect(store.connections().map(withoutAttempt)).toEqual(before.map(withoutAttempt));
    expectEveryLeaseSettledOnce();
  });

  test('is one that meets three rejections of different connections and no success between', async () => {
    connectMany(500);
    answer = () => ({ kind: 'rejected', reason: 'invalid_request' });
    const result = await run();
    expect(result).toMatchObject({ status: 'client_rejected', refreshed: 0, revoked: 0 });
    // One, then 16 at once, and two more for the first of these: one in its place, one faster.
    expect(spotify.calls.length).toBeLessThanOrEqual(19);
    expectEveryLeaseSettledOnce();
  });

  test('is not one where only two connections are rejected', async () => {
    connectMany(100);
    const odd = new Set(['refresh-token-of-user-3', 'refresh-token-of-user-4']);
    answer = (token) =>
      odd.has(token) ? { kind: 'rejected', reason: 'invalid_request' } : refreshedAnswer();
    expect(await run()).toMatchObject({ refreshed: 98, revoked: 0, remaining: 2 });
  });

  test('is not one where successes lie between the rejections', async () => {
    connectMany(90);
    latencyMilliseconds = () => 10;
    answer = (token) =>
      Number(token.split('-').at(-1)) % 3 === 0 ? { kind: 'rejected', reason: 'odd' } : refreshedAnswer();
    expect(await run({ milliseconds: 60_000 })).toMatchObject({
      status: 'out_of_time',
      refreshed: 60,
      remaining: 30,
    });
  });
});

describe('a sweep whose credentials cannot be read', () => {
  test('passes that on, but first stores what is under way and hands back the rest', async () => {
    connectMany(200);
    const failure = new SecretError('SECRET_UNREADABLE', 'denied');
    let answers = 0;
    answer = () => {
      answers += 1;
      if (answers === 20) {
        throw failure;
      }
      return refreshedAnswer({ rotated: true });
    };
    await expect(run()).rejects.toBe(failure);
    expect(spotify.calls.length).toBeGreaterThan(20);
    const stored = store.recorded.filter(({ settled }) => settled.outcome.kind === 'refreshed');
    expect(stored).toHaveLength(spotify.calls.length - 1);
    expectEveryLeaseSettledOnce();
    expect(store.connections().filter((connection) => connection.leaseId !== null)).toEqual([]);
  });
});

describe('the result', () => {
  test('counts a dead grant once and never tries it again', async () => {
    connectMany(10);
    answer = () => ({ kind: 'revoked', reason: 'revoked' });
    expect(await run()).toMatchObject({ status: 'completed', revoked: 10, total: 10, remaining: 0 });
    expect(await run()).toMatchObject({ total: 0 });
    expect(spotify.calls).toHaveLength(10);
  });

  test('counts as stale what somebody else changed meanwhile, and leaves it to them', async () => {
    connectMany(10);
    answer = (token) => {
      if (token === 'refresh-token-of-user-7') {
        store.connect('user-7', 3_600, { refreshToken: 'of-a-new-authorization' });
      }
      return refreshedAnswer({ rotated: true });
    };
    expect(await run()).toMatchObject({ refreshed: 9, stale: 1, total: 10, remaining: 0 });
    expect(store.connection('user-7').refreshToken).toBe('of-a-new-authorization');
  });

  test('does not count as refreshed what did not reach the database', async () => {
    connectMany(10);
    store.beforeEach = (method) => {
      if (method === 'record') {
        throw new StoreError('STORE_UNAVAILABLE', 'down');
      }
    };
    const result = await run({ milliseconds: 120_000 });
    expect(result).toMatchObject({ refreshed: 0, failed: 10, remaining: 10, status: 'out_of_time' });
  });

  test('adds up, and every lease is settled exactly once, whatever Spotify answers and whoever interferes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 60 }),
        fc.integer({ min: 1, max: 25 }),
        fc.integer({ min: 30_000, max: 200_000 }),
        fc.infiniteStream(
          fc.oneof(
            { weight: 5, arbitrary: fc.constant(refreshedAnswer({ rotated: true })) },
            { weight: 2, arbitrary: fc.constantFrom(...answersOfEachKind) },
          ),
        ),
        fc.infiniteStream(fc.oneof({ weight: 4, arbitrary: fc.nat(1_000) }, fc.nat(8_000))),
        fc.infiniteStream(
          fc.oneof(
            { weight: 8, arbitrary: fc.constant('nothing') },
            fc.constantFrom('reconnects', 'leaves', 'outage'),
          ),
        ),
        async (connections, batchSize, milliseconds, answers, latencies, events) => {
          start();
          connectMany(connections);
          answer = (token) => {
            const userId = token.replace('refresh-token-of-', '');
            const event = events.next().value;
            if (event === 'reconnects') {
              store.connect(userId, 3_600, { refreshToken: `of-a-new-authorization-of-${userId}` });
            } else if (event === 'leaves') {
              store.disconnect(userId);
            }
            return answers.next().value;
          };
          latencyMilliseconds = () => latencies.next().value;
          store.beforeEach = (method) => {
            if (method === 'record' && events.next().value === 'outage') {
              throw new StoreError('STORE_UNAVAILABLE', 'down');
            }
          };
          const deadline = clock.monotonicMilliseconds() + milliseconds;

          const result = await run({ batchSize, milliseconds });

          expectCountsAddUp(result);
          expectEveryLeaseSettledOnce();
          const successes = store.recorded.filter(
            ({ settled, verdict }) => settled.outcome.kind === 'refreshed' && verdict === 'applied',
          );
          expect(result.refreshed).toBe(successes.length);
          expect(clock.monotonicMilliseconds()).toBeLessThan(deadline);
          expect(spotify.mostUnderWay).toBeLessThanOrEqual(HIGHEST_CONCURRENCY);
        },
      ),
      { numRuns: 60 },
    );
  });
});

test('a sweep does not hold on to the batches it is done with', async () => {
  expect.assertions(1);
  const batches: WeakRef<object>[] = [];
  connectMany(200);
  const claimDue = store.claimDue.bind(store);
  store.claimDue = async (...parameters) => {
    const batch = await claimDue(...parameters);
    batches.push(new WeakRef(batch.leases));
    // What the fake itself keeps is not the sweep's.
    store.recorded.length = 0;
    store.leases.clear();
    if (batches.length === 15) {
      await collectGarbage();
      const alive = batches.filter((reference) => reference.deref() !== undefined);
      expect(alive.length).toBeLessThanOrEqual(3);
    }
    return batch;
  };
  await run({ batchSize: 10 });
});

describe('the lease of a sweep', () => {
  test('lasts the first call, then two batches at the lowest concurrency, all as slow as they may be', () => {
    expect(computeSweepLeaseSeconds(8)).toBe(18);
    expect(computeSweepLeaseSeconds(500)).toBe(638);
  });

  test('never lasts longer than an invocation', () => {
    expect(computeSweepLeaseSeconds(1_000)).toBe(900);
  });
});

function start(): void {
  clock = new VirtualClock();
  store = new InMemoryConnectionStore(clock);
  rescueQueue = new InMemoryRescueQueue();
  sweepQueue = new InMemorySweepQueue();
  log = new RecordingLog();
  metrics = new RecordingMetrics();
  answer = () => refreshedAnswer();
  latencyMilliseconds = () => 100;
  spotify = new FakeTokenEndpoint(
    clock,
    (token) => answer(token),
    () => latencyMilliseconds(),
  );
}

function run(
  options: Partial<SweepDependencies> & { milliseconds?: number; part?: Partial<SweepPart> } = {},
): Promise<SweepResult> {
  const { milliseconds = INVOCATION_MILLISECONDS, part, ...others } = options;
  return sweep(
    { role: 'first', scheduledAt: SCHEDULED_AT, ageSeconds: 0, link: 0, ...part },
    clock.monotonicMilliseconds() + milliseconds,
    { ...dependencies(), ...others },
  );
}

function dependencies(): SweepDependencies {
  return {
    store,
    rescueQueue,
    tokenEndpoint: spotify,
    clock,
    random: Math.random,
    log,
    metrics,
    windowSeconds: WINDOW_SECONDS,
    batchSize: 500,
    callsPerSecond: null,
    sweepQueue,
    connectionsPerInvocation: 100_000,
    intervalSeconds: 1_800,
  };
}

function mostCallsWithinASecond(): number {
  const starts = spotify.calls.map(({ startedAt }) => startedAt).sort((one, other) => one - other);
  return Math.max(
    ...starts.map((start) => starts.filter((other) => other >= start && other < start + 1_000).length),
  );
}

function connectMany(count: number): void {
  for (let index = 0; index < count; index += 1) {
    store.connect(`user-${index}`, index / 10);
  }
}

/** Grants that were marked dead over a week ago, and that nobody has asked about since. */
function connectLongDead(count: number): void {
  for (let index = 0; index < count; index += 1) {
    store.connect(`dead-${index}`, 60);
    store.settle(`dead-${index}`, revoked);
  }
  clock.advance(8 * 86_400_000);
}

function callsOf(method: string): number {
  return store.calls.filter((call) => call === method).length;
}

function expectCountsAddUp(result: SweepResult): void {
  const { refreshed, failed, revoked, throttled, stale, total } = result;
  expect(refreshed + failed + revoked + throttled + stale).toBe(total);
}

function expectEveryLeaseSettledOnce(): void {
  const settlements = new Map<string, number>();
  for (const { settled, verdict } of store.recorded) {
    if (verdict !== 'busy') {
      const { leaseId } = settled.lease;
      settlements.set(leaseId, (settlements.get(leaseId) ?? 0) + 1);
    }
  }
  expect(settlements).toEqual(new Map([...store.leases.keys()].map((leaseId) => [leaseId, 1])));
}

/** What a lease leaves behind that was of no use. */
function withoutAttempt(connection: Connection): Connection {
  return { ...connection, settledLeaseId: null, attemptedAt: null };
}

function unavailable(): TokenAnswer {
  return { kind: 'unavailable', reason: 'status 503' };
}

async function collectGarbage(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
}
