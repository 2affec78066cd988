import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { StoreError } from '../../../lambda/connection/connection-store.ts';
import { SecretError } from '../../../lambda/connection/secret-error.ts';
import { computeSweepLeaseSeconds } from '../../../lambda/sweeper/refresh-due.ts';
import type { Connection } from '../fakes/connection-model.ts';
import { refreshedAnswer } from '../fakes/fake-token-endpoint.ts';
import { SweepHarness, WINDOW_SECONDS } from '../fakes/sweep-harness.ts';

let harness: SweepHarness;
let store: SweepHarness['store'];
let clock: SweepHarness['clock'];
let spotify: SweepHarness['spotify'];

beforeEach(() => {
  harness = new SweepHarness();
  ({ store, clock, spotify } = harness);
});

describe('what is refreshed', () => {
  test('expires within the window, has expired, or has no expiry; nothing else', async () => {
    store.connect('soon', WINDOW_SECONDS - 1);
    store.connect('expired', -86_400);
    store.connect('unknown', null);
    store.connect('later', WINDOW_SECONDS + 60);
    store.connect('dead', 60);
    store.settle('dead', { kind: 'revoked', reason: 'revoked', retryAfterSeconds: 60 });
    expect(await harness.refreshDue()).toMatchObject({
      status: 'completed',
      counts: { refreshed: 3, total: 3 },
    });
    expect(harness.countDue()).toBe(0);
    expect(spotify.calls.map((call) => call.refreshToken).sort()).toEqual([
      'refresh-token-of-expired',
      'refresh-token-of-soon',
      'refresh-token-of-unknown',
    ]);
    expect(store.connection('later').accessToken).toBe('access-token-of-later');
  });

  test('is all that is due, batch after batch', async () => {
    store.connectMany(2_345);
    expect(await harness.refreshDue({ batchSize: 500 })).toMatchObject({
      status: 'completed',
      counts: { refreshed: 2_345 },
    });
    expect(harness.countDue()).toBe(0);
    expect(store.callsOf('claimDue')).toBe(6);
    expect(store.callsOf('record')).toBe(5);
    expect(spotify.calls).toHaveLength(2_345);
  });

  test('begins with one call alone, which costs a large sweep no more than that call', async () => {
    store.connectMany(10_000);
    await harness.refreshDue();
    const [first, second] = spotify.calls.map(({ startedAt }) => startedAt);
    expect((second ?? 0) - (first ?? 0)).toBe(100);
    // 10,000 calls of 100 ms, 192 at once, are 5.3 s; the rest is the database, and the pace that rises.
    expect(harness.elapsedMilliseconds()).toBeLessThan(5_700);
  });

  test('is not refreshed twice, even when the fresh token falls into the window at once', async () => {
    store.connectMany(30);
    harness.answer = () => refreshedAnswer({ expiresInSeconds: 120 });
    expect(await harness.refreshDue({ batchSize: 10 })).toMatchObject({
      status: 'completed',
      counts: { refreshed: 30 },
    });
    expect(harness.countDue()).toBe(30);
    expect(spotify.calls).toHaveLength(30);
  });
});

test('no call is made while Spotify has asked to wait, and the sweep ends at once', async () => {
  store.connectMany(3);
  store.model.holdEverybodyBack(3_600);
  expect(await harness.refreshDue()).toMatchObject({ status: 'throttled', counts: { total: 0 } });
  expect(harness.countDue()).toBe(3);
  expect(spotify.calls).toHaveLength(0);
  expect(harness.elapsedMilliseconds()).toBeLessThan(1_000);
});

describe('a claim', () => {
  test('is made while the batch before it is under way', async () => {
    store.connectMany(1_500);
    const underWayAtClaim: number[] = [];
    store.beforeEach = (method) => {
      if (method === 'claimDue') underWayAtClaim.push(spotify.underWay);
    };
    await harness.refreshDue();
    expect(underWayAtClaim).toHaveLength(5);
    // The first; those claimed ahead, the last of which comes back empty; and the one that makes sure of the end.
    expect(underWayAtClaim.map((underWay) => underWay > 0)).toEqual([false, true, true, true, false]);
  });

  test('goes on from where the last full batch ended, and from the beginning after one that was not full', async () => {
    store.connectMany(250);
    await harness.refreshDue({ batchSize: 100 });
    expect(store.dueFrom.slice(0, 4)).toEqual([null, expect.any(String), expect.any(String), null]);
  });

  /** Its rejection is not awaited yet and would end the process with every lease unsettled. */
  test('that fails while the batch before it is being started costs no outcome of that batch', async () => {
    store.connectMany(60);
    // Slower than the claim, so that the batch is not yet started when that fails.
    harness.latencyMilliseconds = () => 1_000;
    store.beforeEach = () => {
      if (store.callsOf('claimDue') === 2) {
        store.beforeEach = () => {};
        throw new StoreError('STORE_UNAVAILABLE', 'the database is away for a moment');
      }
    };
    await expect(harness.refreshDue({ batchSize: 40 })).rejects.toThrow('the database is away for a moment');
    expect(store.leases.size).toBe(40);
    expect(store.recorded.map(({ verdict }) => verdict)).toEqual(Array(40).fill('applied'));
  });
});

describe('a sweep that meets connections which others hold or which back off', () => {
  test('waits for them as long as its time allows', async () => {
    store.connect('leased-elsewhere', 60);
    store.leaseElsewhere('leased-elsewhere', 400);
    expect(await harness.refreshDue()).toMatchObject({ status: 'completed', counts: { refreshed: 1 } });
    expect(harness.countDue()).toBe(0);
    expect(harness.elapsedMilliseconds()).toBeGreaterThan(400_000);
    expect(harness.elapsedMilliseconds()).toBeLessThan(401_000);
  });

  test('sees within seconds that another process has freed one', async () => {
    store.connect('leased-elsewhere', 60);
    const lease = store.leaseElsewhere('leased-elsewhere', 400);
    store.beforeEach = () => {
      if (harness.elapsedMilliseconds() > 5_000) {
        store.beforeEach = () => {};
        store.model.record([{ lease, outcome: { kind: 'released' } }]);
      }
    };
    expect(await harness.refreshDue()).toMatchObject({ status: 'completed', counts: { refreshed: 1 } });
    expect(harness.elapsedMilliseconds()).toBeLessThan(6_000);
  });

  test('comes back to a connection whose refresh failed', async () => {
    store.connect('unlucky', 60);
    harness.answer = () =>
      spotify.calls.length < 3 ? { kind: 'unavailable', reason: 'status 503' } : refreshedAnswer();
    expect(await harness.refreshDue()).toMatchObject({
      status: 'completed',
      counts: { refreshed: 1, failed: 2, total: 3 },
    });
    expect(harness.countDue()).toBe(0);
  });

  test('does not wait longer than its time', async () => {
    store.connect('leased-elsewhere', 60);
    store.leaseElsewhere('leased-elsewhere', 900);
    expect(await harness.refreshDue()).toMatchObject({ status: 'out_of_time', counts: { refreshed: 0 } });
    expect(harness.countDue()).toBe(1);
    expect(harness.elapsedMilliseconds()).toBeLessThan(1_000);
  });

  test('does not wait for those that outlive the next sweep', async () => {
    store.connect('leased-elsewhere', WINDOW_SECONDS + 60);
    store.leaseElsewhere('leased-elsewhere', 300);
    await harness.refreshDue();
    expect(harness.elapsedMilliseconds()).toBeLessThan(1_000);
  });

  test('does not wait where it helps: the first does', async () => {
    store.connect('leased-elsewhere', 60);
    store.leaseElsewhere('leased-elsewhere', 400);
    expect(await harness.refreshDue({ part: { role: 'helper' } })).toMatchObject({
      status: 'completed',
      counts: { refreshed: 0 },
    });
    expect(harness.countDue()).toBe(1);
    expect(harness.elapsedMilliseconds()).toBeLessThan(1_000);
  });
});

describe('a ceiling on calls', () => {
  test('spreads them evenly over the time', async () => {
    store.connectMany(100);
    expect(await harness.refreshDue({ callsPerSecond: 20 })).toMatchObject({
      status: 'completed',
      counts: { refreshed: 100 },
    });
    expect(mostCallsWithinASecond()).toBeLessThanOrEqual(21);
    const [first, last] = [spotify.calls[0], spotify.calls.at(-1)].map((call) => call?.startedAt ?? 0);
    expect((last ?? 0) - (first ?? 0)).toBeLessThan(6_000);
  });

  test.each([
    [null, 500, 638],
    // The calls of five seconds at a time, each of which may have to wait for its turn.
    [20, 100, 158],
    [1_000, 500, 658],
  ])('of %p per second: %p connections per claim, leased for %p s', async (callsPerSecond, ...claimed) => {
    const claims: number[][] = [];
    const claimDue = store.claimDue.bind(store);
    store.claimDue = (request, timeoutMilliseconds) => {
      claims.push([request.batchSize, request.leaseSeconds]);
      return claimDue(request, timeoutMilliseconds);
    };
    await harness.refreshDue({ callsPerSecond });
    expect(claims).toEqual([claimed]);
  });

  test('keeps no lease for its turn once no more calls are made', async () => {
    store.connectMany(100);
    harness.answer = () => ({ kind: 'throttled', retryAfterSeconds: 3_600 });
    expect(await harness.refreshDue({ callsPerSecond: 20 })).toMatchObject({ status: 'throttled' });
    expect(harness.elapsedMilliseconds()).toBeLessThan(1_000);
  });

  test('is not passed to catch up with what a slow Spotify held up', async () => {
    store.connectMany(100);
    harness.latencyMilliseconds = () => (spotify.calls.length < 20 ? 2_000 : 10);
    expect(await harness.refreshDue({ callsPerSecond: 20 })).toMatchObject({
      status: 'completed',
      counts: { refreshed: 100 },
    });
    expect(mostCallsWithinASecond()).toBeLessThanOrEqual(21);
  });

  test('is kept together with other invocations', async () => {
    store.connectMany(300);
    const results = await Promise.all([
      harness.refreshDue({ callsPerSecond: 50 }),
      harness.refreshDue({ callsPerSecond: 50, part: { role: 'helper' } }),
      harness.refreshDue({ callsPerSecond: 50, part: { role: 'helper' } }),
    ]);
    expect(results.reduce((sum, { counts }) => sum + counts.refreshed, 0)).toBe(300);
    expect(mostCallsWithinASecond()).toBeLessThanOrEqual(51);
  });

  test('that many invocations share lets none hand a lease back because its turn came too late', async () => {
    store.connectMany(100);
    const results = await Promise.all([
      harness.refreshDue({ callsPerSecond: 1 }),
      ...Array.from({ length: 5 }, () => harness.refreshDue({ callsPerSecond: 1, part: { role: 'helper' } })),
    ]);
    expect(results[0]).toMatchObject({ status: 'completed' });
    expect(harness.countDue()).toBe(0);
    expect(results.reduce((sum, { counts }) => sum + counts.refreshed, 0)).toBe(100);
    expect(settledAs('released')).toEqual([]);
    expect(mostCallsWithinASecond()).toBeLessThanOrEqual(2);
  });

  function mostCallsWithinASecond(): number {
    const starts = spotify.calls.map(({ startedAt }) => startedAt).sort((one, other) => one - other);
    return Math.max(
      ...starts.map((start) => starts.filter((other) => other >= start && other < start + 1_000).length),
    );
  }
});

describe('a sweep whose time is up', () => {
  test('says so, has handed back what it did not start, and ends before the invocation', async () => {
    store.connectMany(5_000);
    harness.latencyMilliseconds = () => 4_000;
    const { status, counts } = await harness.refreshDue({ batchSize: 1_000, milliseconds: 120_000 });
    expect(harness.elapsedMilliseconds()).toBeLessThan(120_000);
    expect(status).toBe('out_of_time');
    expect(counts.refreshed).toBeGreaterThan(300);
    expect(harness.countDue()).toBe(5_000 - counts.refreshed);
    expectNoLeaseIsLeft();
  });

  test('does not claim what it could only hand back', async () => {
    store.connectMany(1_000);
    harness.latencyMilliseconds = () => 4_500;
    await harness.refreshDue({ batchSize: 10, milliseconds: 60_000 });
    // One batch that was being started, and the next.
    expect(settledAs('released').length).toBeLessThanOrEqual(20);
  });

  test('starts no call that would not be over by then', async () => {
    store.connectMany(500);
    harness.latencyMilliseconds = () => 60_000;
    const deadline = clock.monotonicMilliseconds() + 60_000;
    await harness.refreshDue({ milliseconds: 60_000 });
    for (const call of spotify.calls) {
      expect(call.startedAt + call.timeoutMilliseconds).toBeLessThan(deadline - 20_000);
    }
  });
});

describe('a sweep that Spotify throttles', () => {
  test('stops, and hands back what it did not start', async () => {
    store.connectMany(500);
    harness.answer = () => ({ kind: 'throttled', retryAfterSeconds: 3_600 });
    const { status, counts } = await harness.refreshDue();
    expect(status).toBe('throttled');
    expect(counts).toMatchObject({ refreshed: 0, throttled: counts.total });
    expect(harness.countDue()).toBe(500);
    expect(spotify.calls).toHaveLength(1);
    // The first batch and the one claimed ahead.
    expect(store.callsOf('claimDue')).toBe(2);
    expect(store.leasesNotSettledOnce()).toEqual([]);
    const resting = store
      .connections()
      .filter(({ claimableAt }) => (claimableAt ?? 0) > clock.monotonicMilliseconds());
    expect(resting).toHaveLength(counts.throttled);
  });

  test('stores what the calls under way still brought', async () => {
    store.connectMany(100);
    harness.answer = (token) =>
      token === 'refresh-token-of-user-1' ? { kind: 'throttled', retryAfterSeconds: 60 } : refreshedAnswer();
    const { status, counts } = await harness.refreshDue();
    expect(status).toBe('throttled');
    expect(counts).toMatchObject({ throttled: 1, refreshed: spotify.calls.length - 1 });
    expect(counts.refreshed).toBeGreaterThan(0);
  });
});

test('a sweep whose client Spotify rejects stops and changes no connection', async () => {
  store.connectMany(500);
  const before = structuredClone(store.connections());
  harness.answer = () => ({ kind: 'client_rejected', reason: 'invalid_client' });
  expect(await harness.refreshDue()).toMatchObject({ status: 'client_rejected', counts: { total: 0 } });
  expect(harness.countDue()).toBe(500);
  expect(spotify.calls).toHaveLength(1);
  expect(store.connections().map(withoutAttempt)).toEqual(before.map(withoutAttempt));
  expect(store.leasesNotSettledOnce()).toEqual([]);
});

test('a sweep whose credentials cannot be read passes that on, but first stores what is under way and hands back the rest', async () => {
  store.connectMany(200);
  const failure = new SecretError('SECRET_UNREADABLE', 'denied');
  let answers = 0;
  harness.answer = () => {
    answers += 1;
    if (answers === 20) {
      throw failure;
    }
    return refreshedAnswer({ rotated: true });
  };
  await expect(harness.refreshDue()).rejects.toBe(failure);
  expect(spotify.calls.length).toBeGreaterThan(20);
  expect(settledAs('refreshed')).toHaveLength(spotify.calls.length - 1);
  expectNoLeaseIsLeft();
});

test('a sweep does not hold on to the batches it is done with', async () => {
  expect.assertions(1);
  const batches: WeakRef<object>[] = [];
  store.connectMany(200);
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
  await harness.refreshDue({ batchSize: 10 });
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

function settledAs(kind: 'refreshed' | 'released') {
  return store.recorded.filter(({ settled }) => settled.outcome.kind === kind);
}

function expectNoLeaseIsLeft(): void {
  expect(store.leasesNotSettledOnce()).toEqual([]);
  expect(store.connections().filter((connection) => connection.leaseId !== null)).toEqual([]);
}

/** What a lease leaves behind that was of no use. */
function withoutAttempt(connection: Connection): Connection {
  return { ...connection, settledLeaseId: null, attemptedAt: null };
}

async function collectGarbage(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
}
