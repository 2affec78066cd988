import { beforeEach, describe, expect, test } from '@jest/globals';
import { StoreError } from '../../../lambda/connection/connection-store.ts';
import { drainRescueQueue } from '../../../lambda/sweeper/drain-rescue-queue.ts';
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

describe('draining the rescue queue', () => {
  test('stores every token that waits there, and leaves nothing behind', async () => {
    const rotations = Array.from({ length: 23 }, (_, index) => rescued(`user-${index}`));
    await drain();
    for (const { lease, outcome } of rotations) {
      expect(store.connection(lease.userId)).toMatchObject({
        accessToken: outcome.accessToken,
        refreshToken: outcome.refreshToken,
      });
    }
    expect(rescueQueue.messages).toEqual([]);
    expect(log.lines).toContainEqual({
      level: 'warn',
      message: 'rescued token',
      fields: { user_id: 'user-0', verdict: 'applied' },
    });
    expect(metrics.added).toEqual(rotations.map(() => ({ rescueStored: 1 })));
  });

  test('brings a grant back that was marked dead because only the old token was known', async () => {
    rescued('a');
    store.settle('a', { kind: 'revoked', reason: 'invalid', retryAfterSeconds: 60 });
    await drain();
    expect(store.connection('a').reauthorizationRequiredSince).toBeNull();
  });

  test('lets a token go that somebody has replaced meanwhile, and that of a user who is gone', async () => {
    rescued('a');
    rescued('b');
    store.connect('a', 3_600, { refreshToken: 'written-meanwhile' });
    store.disconnect('b');
    await drain();
    expect(store.connection('a').refreshToken).toBe('written-meanwhile');
    expect(rescueQueue.messages).toEqual([]);
  });

  test('takes a message that comes twice once', async () => {
    const rotation = rescued('a');
    rescueQueue.add(rotation);
    await drain();
    expect(store.applied()).toEqual(new Map([[rotation.lease.leaseId, 1]]));
    expect(rescueQueue.messages).toEqual([]);
  });

  test('leaves a token whose row somebody keeps locked, and stores the others', async () => {
    rescued('a');
    rescued('b');
    store.model.lockedUsers.add('a');
    const startedAt = clock.monotonicMilliseconds();
    await drain();
    // Long before the message is shown to others again.
    expect(clock.monotonicMilliseconds() - startedAt).toBeLessThan(10_100);
    expect(rescueQueue.messages.map((message) => message.rotation?.lease.userId)).toEqual(['a']);

    store.model.lockedUsers.clear();
    rescueQueue.showAgain();
    await drain();
    expect(rescueQueue.messages).toEqual([]);
  });

  test('leaves a token that the profile of its user refuses, and reports that', async () => {
    rescued('a');
    store.model.usersRefusingTokens.add('a');
    await drain();
    expect(rescueQueue.messages).toHaveLength(1);
    expect(metrics.added).toEqual([{ profilesRefused: 1 }]);
  });

  test('leaves a message that cannot be opened to the dead-letter queue, and says so with a code', async () => {
    rescueQueue.add(null);
    rescued('a');
    await drain();
    expect(rescueQueue.messages.map((message) => message.rotation)).toEqual([null]);
    expect(log.lines).toContainEqual({
      level: 'error',
      message: 'rescued token not stored',
      fields: { message_id: 'message-1', code: 'RESCUE_MESSAGE_UNREADABLE' },
    });
  });

  test('leaves a token that the database refuses, and stores the others', async () => {
    rescued('a');
    rescued('b');
    const record = store.record.bind(store);
    store.record = async (settled, timeout) => {
      if (settled[0]?.lease.userId === 'a') {
        throw new StoreError('STORE_REFUSED', 'a defect');
      }
      return record(settled, timeout);
    };
    await drain();
    expect(rescueQueue.messages.map((message) => message.rotation?.lease.userId)).toEqual(['a']);
    expect(log.lines).toContainEqual(
      expect.objectContaining({
        level: 'error',
        fields: { user_id: 'a', code: 'STORE_REFUSED', reason: 'a defect' },
      }),
    );
  });

  test('receives nothing while the database takes no outcomes: the dead-letter queue counts receipts', async () => {
    rescued('a');
    store.beforeEach = () => {
      throw new StoreError('STORE_UNAVAILABLE', 'down');
    };
    await drain();
    expect(await rescueQueue.receive()).toHaveLength(1);
    expect(log.lines).toMatchObject([{ level: 'error', fields: { code: 'STORE_UNAVAILABLE' } }]);
  });

  test('is given up, and says so, when the queue is out of reach', async () => {
    rescueQueue.isOutOfReach = true;
    await drain();
    expect(log.lines).toMatchObject([{ level: 'error', fields: { code: 'RESCUE_QUEUE_UNAVAILABLE' } }]);
  });

  test('ends when its time is over', async () => {
    for (let index = 0; index < 30; index += 1) {
      rescued(`user-${index}`);
    }
    await drain(0);
    expect(rescueQueue.messages).toHaveLength(20);
  });

  test('throws what is a defect', async () => {
    const defect = new TypeError('a defect');
    rescueQueue.receive = async () => {
      throw defect;
    };
    await expect(drain()).rejects.toBe(defect);
  });

  test('writes no token into the log', async () => {
    rescued('a');
    await drain();
    expect(JSON.stringify(log.lines)).not.toMatch(/-token-/);
  });
});

/** A connection whose refresh could not be stored. */
function rescued(userId: string) {
  store.connect(userId, 60);
  const refreshToken = `refresh-token-of-${userId}`;
  const rotation = aRotation(aLease({ userId, refreshToken, leasedAt: '0' }));
  rescueQueue.add(rotation);
  return rotation;
}

function drain(milliseconds = 60_000): Promise<void> {
  const until = clock.monotonicMilliseconds() + milliseconds;
  return drainRescueQueue(until, { store, rescueQueue, clock, log, metrics });
}
