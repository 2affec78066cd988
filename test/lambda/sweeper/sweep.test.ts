import { beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { StoreError } from '../../../lambda/connection/connection-store.ts';
import type { TokenAnswer } from '../../../lambda/connection/token-endpoint.ts';
import { answersOfEachKind, refreshedAnswer } from '../fakes/fake-token-endpoint.ts';
import { aLease } from '../fakes/leases.ts';
import { aRotation } from '../fakes/rotations.ts';
import { SCHEDULED_AT, SweepHarness } from '../fakes/sweep-harness.ts';

const HIGHEST_CONCURRENCY = 192;

let harness: SweepHarness;

beforeEach(() => {
  harness = new SweepHarness();
});

describe('a sweep', () => {
  test('with nothing due only asks the database', async () => {
    const { store, spotify, log } = harness;
    store.connect('fresh', 3_000);
    const result = await harness.sweep();
    expect(result).toEqual({
      status: 'completed',
      refreshed: 0,
      failed: 0,
      total: 0,
      revoked: 0,
      throttled: 0,
      stale: 0,
      remaining: 0,
      duration_ms: harness.elapsedMilliseconds(),
    });
    expect(spotify.calls).toHaveLength(0);
    expect(log.lines).toEqual([]);
    expect(store.calls).toEqual([
      'record',
      'reconcile',
      'clearDeadGrants',
      'countDue',
      'claimDue',
      'countDue',
    ]);
    expect(new Set(store.timeouts)).toEqual(new Set([10_000]));
  });

  test('passes a database that is out of reach on', async () => {
    const outage = new StoreError('STORE_UNAVAILABLE', 'down');
    harness.store.beforeEach = () => {
      throw outage;
    };
    await expect(harness.sweep()).rejects.toBe(outage);
  });

  test('writes no token into the log', async () => {
    harness.store.connectMany(20);
    harness.rescueQueue.add(aRotation(aLease({ userId: 'user-0' })));
    harness.answer = () => refreshedAnswer({ rotated: true });
    await harness.sweep();
    expect(harness.log.lines.length).toBeGreaterThan(20);
    expect(JSON.stringify(harness.log.lines)).not.toMatch(/access-token|refresh-token/);
  });
});

describe('the rescue queue', () => {
  test('is stored before a sweep claims: Spotify is sent the token that lives', async () => {
    const { store, rescueQueue, spotify } = harness;
    store.connect('a', -60);
    const refreshToken = 'refresh-token-of-a';
    const rotation = aRotation(aLease({ userId: 'a', refreshToken, leasedAt: '-3600000' }));
    rescueQueue.add(rotation);
    expect(await harness.sweep()).toMatchObject({ status: 'completed', refreshed: 1 });
    expect(spotify.calls.map((call) => call.refreshToken)).toEqual([rotation.outcome.refreshToken]);
    expect(rescueQueue.messages).toEqual([]);
  });

  test('takes the tokens of a sweep that loses the database after Spotify rotated them; the next stores them', async () => {
    const { store, rescueQueue } = harness;
    store.connectMany(30);
    harness.answer = () => {
      store.beforeEach = () => {
        throw new StoreError('STORE_UNAVAILABLE', 'down');
      };
      return refreshedAnswer({ rotated: true });
    };
    await expect(harness.sweep()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(rescueQueue.messages).toHaveLength(30);

    store.beforeEach = () => {};
    expect(await harness.sweep()).toMatchObject({ status: 'completed', total: 0 });
    expect(rescueQueue.messages).toEqual([]);
    const refreshTokens = store.connections().map(({ refreshToken }) => refreshToken);
    expect(new Set(refreshTokens).size).toBe(30);
    expect(refreshTokens.filter((token) => token?.startsWith('refresh-token-of'))).toEqual([]);
  });
});

describe('maintenance', () => {
  test('heals the queue before the sweep claims, page by page until that is done', async () => {
    harness.store.pagesToReconcile = 3;
    connectLongDead(2);
    await harness.sweep();
    expect(harness.store.calls.slice(1, 5)).toEqual([
      'reconcile',
      'reconcile',
      'reconcile',
      'clearDeadGrants',
    ]);
    expect(harness.log.lines[0]).toMatchObject({
      message: 'sweep maintenance',
      fields: { dead_grants_cleared: 2 },
    });
  });

  test('clears all grants that are long dead, however many have died at once', async () => {
    connectLongDead(2_500);
    await harness.sweep();
    expect(harness.log.lines[0]).toMatchObject({ fields: { dead_grants_cleared: 2_500 } });
    expect(harness.store.callsOf('clearDeadGrants')).toBe(3);
  });

  test('reports a profile that refuses to lose its tokens', async () => {
    connectLongDead(1);
    harness.store.model.usersRefusingTokens.add('dead-0');
    await harness.sweep();
    expect(harness.metrics.added).toContainEqual({ profilesRefused: 1 });
  });

  test('leaves the tokens of a grant that has not been dead for a week', async () => {
    connectLongDead(1, 6.9);
    await harness.sweep();
    expect(harness.store.connection('dead-0').refreshToken).not.toBeNull();
  });

  test('leaves time to refresh tokens, however much there is of it', async () => {
    harness.store.pagesToReconcile = Number.POSITIVE_INFINITY;
    harness.store.connectMany(3);
    expect(await harness.sweep({ milliseconds: 30_000 })).toMatchObject({
      status: 'completed',
      refreshed: 3,
    });
    expect(harness.elapsedMilliseconds()).toBeLessThan(30_000);
  });

  test('that fails stops no refresh', async () => {
    harness.store.connectMany(3);
    harness.store.beforeEach = (method) => {
      if (method === 'reconcile') {
        throw new StoreError('STORE_UNAVAILABLE', 'statement timeout');
      }
    };
    expect(await harness.sweep()).toMatchObject({ status: 'completed', refreshed: 3, remaining: 0 });
    expect(harness.log.lines[0]).toMatchObject({ level: 'warn', message: 'sweep maintenance failed' });
  });

  /** Grants that were marked dead days ago, and not asked about since. */
  function connectLongDead(count: number, days = 7.1): void {
    for (let index = 0; index < count; index += 1) {
      harness.store.connect(`dead-${index}`, 60);
      harness.store.settle(`dead-${index}`, { kind: 'revoked', reason: 'revoked', retryAfterSeconds: 60 });
    }
    harness.clock.advance(days * 86_400_000);
  }
});

describe('a sweep with more to do than one invocation can', () => {
  test('wakes as many helpers as the connections that are due need, and does its own part', async () => {
    harness.store.connectMany(95);
    expect(await harness.sweep({ connectionsPerInvocation: 20 })).toMatchObject({
      status: 'completed',
      refreshed: 95,
    });
    expect(harness.sweepQueue.wakeUps).toEqual(
      Array(4).fill({ scheduledAt: SCHEDULED_AT, ageSeconds: expect.any(Number), link: 0 }),
    );
  });

  test('leaves the rest to one more when its time is up', async () => {
    harness.store.connectMany(5_000);
    harness.latencyMilliseconds = () => 4_000;
    expect(await harness.sweep({ milliseconds: 120_000 })).toMatchObject({ status: 'out_of_time' });
    const age = expect.closeTo(95, -1);
    expect(harness.sweepQueue.wakeUps).toEqual([{ scheduledAt: SCHEDULED_AT, ageSeconds: age, link: 1 }]);
  });

  test.each([
    ['that has come to its third link', { link: 2 }],
    ['that is as old as the interval', { ageSeconds: 1_750 }],
  ])('leaves none in a chain %s', async (_, part) => {
    harness.store.connectMany(5_000);
    harness.latencyMilliseconds = () => 4_000;
    expect(await harness.sweep({ milliseconds: 120_000, part })).toMatchObject({ status: 'out_of_time' });
    expect(harness.sweepQueue.wakeUps).toEqual([]);
  });

  test.each<[string, TokenAnswer]>([
    ['Spotify throttles', { kind: 'throttled', retryAfterSeconds: 60 }],
    ['Spotify rejects the client', { kind: 'client_rejected', reason: 'invalid_client' }],
    ['nothing succeeds', { kind: 'unavailable', reason: 'status 503' }],
  ])('leaves none where %s', async (_, answer) => {
    harness.store.connectMany(2_000);
    harness.latencyMilliseconds = () => 4_000;
    harness.answer = () => answer;
    await harness.sweep({ milliseconds: 60_000 });
    expect(harness.sweepQueue.wakeUps).toEqual([]);
  });

  test('leaves none while the breaker is open', async () => {
    harness.store.connectMany(2_000);
    harness.latencyMilliseconds = () => 4_000;
    harness.store.openBreaker();
    expect(await harness.sweep({ milliseconds: 60_000 })).toMatchObject({ status: 'out_of_time' });
    expect(harness.sweepQueue.wakeUps).toEqual([]);
  });
});

describe('an invocation that helps', () => {
  test('refreshes what it can claim, and neither heals the queue nor wakes others', async () => {
    const { store, sweepQueue } = harness;
    store.connectMany(95);
    const result = await harness.sweep({ connectionsPerInvocation: 20, part: { role: 'helper' } });
    expect(result).toMatchObject({ status: 'completed', refreshed: 95 });
    expect(store.callsOf('reconcile') + store.callsOf('clearDeadGrants')).toBe(0);
    expect(sweepQueue.wakeUps).toEqual([]);
  });

  test('refreshes nothing that was refreshed since the sweep began, before it was woken', async () => {
    const { store, clock, spotify } = harness;
    store.connectMany(10);
    harness.answer = () => refreshedAnswer({ expiresInSeconds: 120 });
    await harness.sweep();
    clock.advance(30_000);
    await harness.sweep({ part: { role: 'helper', ageSeconds: 60 } });
    expect(spotify.calls).toHaveLength(10);
    await harness.sweep({ part: { role: 'helper', ageSeconds: 20 } });
    expect(spotify.calls).toHaveLength(20);
  });
});

describe('the result', () => {
  test('counts a dead grant once and never tries it again', async () => {
    harness.store.connectMany(10);
    harness.answer = () => ({ kind: 'revoked', reason: 'revoked' });
    expect(await harness.sweep()).toMatchObject({
      status: 'completed',
      revoked: 10,
      total: 10,
      remaining: 0,
    });
    expect(await harness.sweep()).toMatchObject({ total: 0 });
    expect(harness.spotify.calls).toHaveLength(10);
  });

  test('counts as stale what changed meanwhile, and leaves it alone', async () => {
    const { store } = harness;
    store.connectMany(10);
    harness.answer = (token) => {
      if (token === 'refresh-token-of-user-7') {
        store.connect('user-7', 3_600, { refreshToken: 'of-a-new-authorization' });
      }
      return refreshedAnswer({ rotated: true });
    };
    expect(await harness.sweep()).toMatchObject({ refreshed: 9, stale: 1, total: 10, remaining: 0 });
    expect(store.connection('user-7').refreshToken).toBe('of-a-new-authorization');
  });

  test('does not count as refreshed what did not reach the database', async () => {
    harness.store.connectMany(10);
    harness.store.beforeEach = (method) => {
      if (method === 'record') {
        throw new StoreError('STORE_UNAVAILABLE', 'down');
      }
    };
    const result = await harness.sweep({ milliseconds: 120_000 });
    expect(result).toMatchObject({ refreshed: 0, failed: 10, remaining: 10, status: 'out_of_time' });
  });

  test('adds up, and every lease is settled exactly once, whatever Spotify answers and whatever interferes', async () => {
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
          harness = new SweepHarness();
          const { store, clock, spotify } = harness;
          store.connectMany(connections);
          harness.answer = (token) => {
            const userId = token.replace('refresh-token-of-', '');
            const event = events.next().value;
            if (event === 'reconnects') {
              store.connect(userId, 3_600, { refreshToken: `of-a-new-authorization-of-${userId}` });
            } else if (event === 'leaves') {
              store.disconnect(userId);
            }
            return answers.next().value;
          };
          harness.latencyMilliseconds = () => latencies.next().value;
          store.beforeEach = (method) => {
            if (method === 'record' && events.next().value === 'outage') {
              throw new StoreError('STORE_UNAVAILABLE', 'down');
            }
          };
          const deadline = clock.monotonicMilliseconds() + milliseconds;

          const result = await harness.sweep({ batchSize, milliseconds });

          const { refreshed, failed, revoked, throttled, stale, total } = result;
          expect(refreshed + failed + revoked + throttled + stale).toBe(total);
          expect(store.leasesNotSettledOnce()).toEqual([]);
          const successes = store.recorded.filter(
            ({ settled, verdict }) => settled.outcome.kind === 'refreshed' && verdict === 'applied',
          );
          expect(refreshed).toBe(successes.length);
          expect(clock.monotonicMilliseconds()).toBeLessThan(deadline);
          expect(spotify.mostUnderWay).toBeLessThanOrEqual(HIGHEST_CONCURRENCY);
        },
      ),
      { numRuns: 60 },
    );
  });
});
