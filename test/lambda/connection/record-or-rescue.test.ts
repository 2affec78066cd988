import { beforeEach, describe, expect, test } from '@jest/globals';
import { StoreError } from '../../../lambda/connection/connection-store.ts';
import type { Lease } from '../../../lambda/connection/lease.ts';
import { recordOrRescue } from '../../../lambda/connection/record-or-rescue.ts';
import type { RefreshOutcome, SettledLease } from '../../../lambda/connection/refresh-outcome.ts';
import { SecretError } from '../../../lambda/connection/secret-error.ts';
import { InMemoryConnectionStore } from '../fakes/in-memory-connection-store.ts';
import { InMemoryRescueQueue } from '../fakes/in-memory-rescue-queue.ts';
import { aLease } from '../fakes/leases.ts';
import { RecordingLog } from '../fakes/recording-log.ts';
import { RecordingMetrics } from '../fakes/recording-metrics.ts';
import { aRotation } from '../fakes/rotations.ts';
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

/** Why nothing could be recorded: once, however many outcomes there are. */
const notRecorded = {
  level: 'error',
  message: 'outcomes not recorded',
  fields: { count: 1, code: 'STORE_UNAVAILABLE', reason: 'down' },
};

describe('a rotated refresh token', () => {
  test('that the database takes needs no rescue', async () => {
    const rotation = aRotation(await leaseOn('a'));
    expect([...(await record([rotation])).values()]).toEqual(['applied']);
    expect(rescueQueue.messages).toEqual([]);
    expect(log.lines).toEqual([]);
    expect(metrics.added).toEqual([]);
  });

  test('that it does not take is sent to the rescue queue before time is up', async () => {
    const rotation = aRotation(await leaseOn('a'));
    const startedAt = clock.monotonicMilliseconds();
    loseTheDatabase();

    expect([...(await record([rotation])).values()]).toEqual(['unsettled']);

    expect(rescueQueue.messages.map((message) => message.rotation)).toEqual([rotation]);
    expect(rescueQueue.timeouts).toEqual([1_005]);
    expect(clock.monotonicMilliseconds() - startedAt).toBeLessThanOrEqual(10_000 - 1_005);
    expect(log.lines).toEqual([
      notRecorded,
      {
        level: 'warn',
        message: 'rotated refresh token sent to the rescue queue',
        fields: { user_id: 'a' },
      },
    ]);
    expect(metrics.added).toEqual([{ rescueQueued: 1 }]);
  });

  test('that was all that could be used of an answer is rescued like any other', async () => {
    const lease = await leaseOn('a');
    const outcome = { kind: 'refresh_token_only', refreshToken: 'new', retryAfterSeconds: 30 } as const;
    loseTheDatabase();
    await record([{ lease, outcome }]);
    expect(rescueQueue.messages.map((message) => message.rotation)).toEqual([{ lease, outcome }]);
  });

  test('whose row stays locked is rescued too, and only that one', async () => {
    const rotations = [aRotation(await leaseOn('a')), aRotation(await leaseOn('b'))];
    store.model.lockedUsers.add('b');

    expect([...(await record(rotations)).values()]).toEqual(['applied', 'unsettled']);

    expect(rescueQueue.messages.map((message) => message.rotation)).toEqual([rotations[1]]);
  });

  test('that the database refuses is rescued before the refusal is told', async () => {
    const rotation = aRotation(await leaseOn('a'));
    const refusal = new StoreError('STORE_REFUSED', 'a defect');
    store.beforeEach = () => {
      throw refusal;
    };

    await expect(record([rotation])).rejects.toBe(refusal);

    expect(rescueQueue.messages.map((message) => message.rotation)).toEqual([rotation]);
  });

  test('is sent although the process slept past its deadline', async () => {
    const rotation = aRotation(await leaseOn('a'));
    await record([rotation], -5_000);
    expect(rescueQueue.messages).toHaveLength(1);
    expect(rescueQueue.timeouts).toEqual([500]);
  });

  test('that cannot be rescued either is an error in the log, with the code and without the token', async () => {
    const rotation = aRotation(await leaseOn('a'));
    loseTheDatabase();
    rescueQueue.isOutOfReach = true;

    expect([...(await record([rotation])).values()]).toEqual(['unsettled']);

    expect(log.lines).toMatchObject([
      notRecorded,
      { level: 'error', fields: { user_id: 'a', code: 'RESCUE_QUEUE_UNAVAILABLE' } },
    ]);
    expect(JSON.stringify(log.lines)).not.toMatch(/-token-/);
    expect(metrics.added).toEqual([{ rescueFailed: 1 }]);
  });

  test('is lost to the log with the code of the secret when there is no key to seal it with', async () => {
    const rotation = aRotation(await leaseOn('a'));
    loseTheDatabase();
    rescueQueue.put = async () => {
      throw new SecretError('SECRET_UNREADABLE', 'Secrets Manager is down');
    };
    await record([rotation]);
    expect(log.lines).toMatchObject([
      notRecorded,
      { level: 'error', fields: { user_id: 'a', code: 'SECRET_UNREADABLE' } },
    ]);
  });

  test('shares the way with 49 others at most, and none waits in vain', async () => {
    const rotations = await Promise.all(
      Array.from({ length: 120 }, async (_, user) => aRotation(await leaseOn(`user ${user}`))),
    );
    let underWay = 0;
    let mostUnderWay = 0;
    const put = rescueQueue.put.bind(rescueQueue);
    rescueQueue.put = async (rotation, timeout) => {
      underWay += 1;
      mostUnderWay = Math.max(mostUnderWay, underWay);
      await clock.sleep(10);
      await put(rotation, timeout);
      underWay -= 1;
    };
    loseTheDatabase();

    await record(rotations);

    expect(rescueQueue.messages).toHaveLength(120);
    expect(mostUnderWay).toBe(50);
  });

  test('gets more of the time the more there are', async () => {
    const rotations = Array.from({ length: 500 }, () => aRotation());
    loseTheDatabase();
    await record(rotations, 20_000);
    expect(rescueQueue.messages).toHaveLength(500);
    expect(Math.min(...rescueQueue.timeouts)).toBe(1_000 + 500 * 5);
  });
});

test('that the revocation breaker is open is counted with every outcome', async () => {
  store.openBreaker();
  await record([aRotation(await leaseOn('a'))]);
  expect(metrics.added).toEqual([{ breakerOpen: 1 }]);
});

describe('nothing else is sent to the rescue queue', () => {
  const lease = aLease();
  test.each<RefreshOutcome>([
    { kind: 'refreshed', accessToken: 'access-token', expiresInSeconds: 3_600 },
    {
      kind: 'refreshed',
      accessToken: 'access-token',
      refreshToken: lease.refreshToken,
      expiresInSeconds: 3_600,
    },
    { kind: 'unavailable', retryAfterSeconds: 60 },
    { kind: 'released' },
  ])('%j', async (outcome) => {
    const startedAt = clock.monotonicMilliseconds();
    loseTheDatabase();
    await record([{ lease, outcome }]);
    expect(rescueQueue.messages).toEqual([]);
    // And the write has all of the time.
    expect(clock.monotonicMilliseconds() - startedAt).toBe(10_000);
  });
});

test('what the profile of a user refuses goes to the queue where it is a rotation, and is named', async () => {
  const [rotated, plain] = [await leaseOn('rotated'), await leaseOn('plain')];
  store.model.usersRefusingTokens.add('rotated');
  store.model.usersRefusingTokens.add('plain');
  const success = { kind: 'refreshed', accessToken: 'new', expiresInSeconds: 3_600 } as const;

  const verdicts = await record([
    { lease: rotated, outcome: { ...success, refreshToken: 'rotated-token' } },
    { lease: plain, outcome: success },
  ]);

  expect([...verdicts.values()]).toEqual(['refused', 'refused']);
  expect(rescueQueue.messages).toHaveLength(1);
  expect(metrics.added).toContainEqual({ profilesRefused: 2 });
});

async function record(settled: readonly SettledLease[], milliseconds = 10_000) {
  const deadline = clock.monotonicMilliseconds() + milliseconds;
  return (await recordOrRescue(settled, deadline, { store, rescueQueue, clock, log, metrics })).verdicts;
}

function loseTheDatabase(): void {
  store.beforeEach = () => {
    throw new StoreError('STORE_UNAVAILABLE', 'down');
  };
}

async function leaseOn(userId: string): Promise<Lease> {
  store.connect(userId, 60);
  const check = await store.check(userId, 300, 30, 1_000);
  if (check.state !== 'leased') {
    throw new Error(`expected a lease, got ${check.state}`);
  }
  return check.lease;
}
