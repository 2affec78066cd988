import { beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { StoreError } from '../../../lambda/connection/connection-store.ts';
import { recordOutcomes } from '../../../lambda/connection/record-outcomes.ts';
import { type SettledLease, toOutcome } from '../../../lambda/connection/refresh-outcome.ts';
import { SecretError } from '../../../lambda/connection/secret-error.ts';
import { refreshedAnswer } from '../fakes/fake-token-endpoint.ts';
import { InMemoryConnectionStore } from '../fakes/in-memory-connection-store.ts';
import { VirtualClock } from '../fakes/virtual-clock.ts';

let clock: VirtualClock;
let store: InMemoryConnectionStore;

beforeEach(() => {
  clock = new VirtualClock();
  store = new InMemoryConnectionStore(clock);
});

describe('recording outcomes', () => {
  test('is one call when nothing is in the way', async () => {
    const settled = await settle(['a', 'b', 'c']);
    const startedAt = clock.monotonicMilliseconds();
    expect(await record(settled)).toEqual(everyLease(settled, 'applied'));
    expect(recordCalls()).toBe(1);
    // And no pause after it.
    expect(clock.monotonicMilliseconds() - startedAt).toBeLessThan(50);
  });

  test('of nothing calls nobody', async () => {
    expect(await record([])).toEqual(new Map());
    expect(recordCalls()).toBe(0);
  });

  test('is repeated for the locked row, and only for that', async () => {
    const settled = await settle(['a', 'b']);
    store.model.lockedUsers.add('b');
    store.beforeEach = () => {
      if (recordCalls() === 3) store.model.lockedUsers.clear();
    };
    expect(await record(settled)).toEqual(everyLease(settled, 'applied'));
    expect(store.recorded.map(({ settled: { lease }, verdict }) => [lease.userId, verdict])).toEqual([
      ['a', 'applied'],
      ['b', 'busy'],
      ['b', 'busy'],
      ['b', 'applied'],
    ]);
  });

  test.each([
    new StoreError('STORE_UNAVAILABLE', 'down'),
    new StoreError('KEY_REJECTED', 'rotated a moment ago'),
    new StoreError('MIGRATION_MISSING', 'schema cache being rebuilt'),
    new StoreError('SCHEMA_NOT_EXPOSED', 'somebody edits the exposed schemas'),
    new StoreError('PROFILES_HIDDEN', 'somebody edits row level security'),
    new SecretError('SECRET_UNREADABLE', 'Secrets Manager is down'),
  ])('is repeated until $code is over', async (outage) => {
    const settled = await settle(['a']);
    store.beforeEach = () => {
      if (recordCalls() < 4) {
        throw outage;
      }
    };
    expect(await record(settled)).toEqual(everyLease(settled, 'applied'));
  });

  test('whose answer was lost is recognised as already applied', async () => {
    const settled = await settle(['a']);
    const recordUnheard = store.record.bind(store);
    store.record = async (...parameters) => {
      const verdicts = await recordUnheard(...parameters);
      if (recordCalls() === 1) {
        throw new StoreError('STORE_UNAVAILABLE', 'the answer was lost');
      }
      return verdicts;
    };
    expect(await record(settled)).toEqual(everyLease(settled, 'already_applied'));
  });

  test('pauses between the tries, for longer each time and 2 s at most', async () => {
    const settled = await settle(['a']);
    const startedAt = clock.monotonicMilliseconds();
    const triedAt: number[] = [];
    store.record = async () => {
      triedAt.push(clock.monotonicMilliseconds() - startedAt);
      throw new StoreError('STORE_UNAVAILABLE', 'down');
    };
    await record(settled, 8_000);
    expect(triedAt).toEqual([0, 50, 150, 350, 750, 1_550, 3_150, 5_150, 7_150]);
  });

  test.each([
    [30_000, 10_000],
    [8_000, 4_000],
    [900, 500],
    [400, 400],
  ])('with %p ms left waits %p ms for an answer', async (timeLeft, timeout) => {
    const settled = await settle(['a']);
    const timeouts: number[] = [];
    store.record = async (_settled, timeoutMilliseconds) => {
      timeouts.push(timeoutMilliseconds);
      throw new StoreError('STORE_UNAVAILABLE', 'down');
    };
    await record(settled, timeLeft);
    expect(timeouts[0]).toBe(timeout);
  });

  test('has time for another call where one is never answered', async () => {
    const settled = await settle(['a']);
    const recordInTime = store.record.bind(store);
    store.record = async (...parameters) => {
      if (recordCalls() > 0) return recordInTime(...parameters);
      store.calls.push('record');
      await clock.sleep(parameters[1]);
      throw new StoreError('STORE_UNAVAILABLE', 'no answer in time');
    };
    expect(await record(settled, 2_500)).toEqual(everyLease(settled, 'applied'));
  });

  test('leaves unsettled what the deadline came before', async () => {
    const settled = await settle(['a', 'b']);
    store.model.lockedUsers.add('b');
    const deadline = clock.monotonicMilliseconds() + 5_000;
    expect([...(await record(settled, 5_000)).values()]).toEqual(['applied', 'unsettled']);
    expect(clock.monotonicMilliseconds()).toBeLessThanOrEqual(deadline);
  });

  test('does not call when the deadline is over', async () => {
    const settled = await settle(['a']);
    expect(await record(settled, 0)).toEqual(everyLease(settled, 'unsettled'));
    expect(recordCalls()).toBe(0);
  });

  test.each(['STORE_REFUSED', 'STORE_ANSWER_UNEXPECTED'] as const)(
    'is not repeated after %s, which the next call would meet too',
    async (code) => {
      const settled = await settle(['a']);
      const refusal = new StoreError(code, 'a defect');
      store.beforeEach = () => {
        throw refusal;
      };
      await expect(record(settled)).rejects.toBe(refusal);
      expect(recordCalls()).toBe(1);
    },
  );

  test('never drops a lease, whatever fails or is locked', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.integer({ min: 0, max: 50 }), { maxLength: 20 }),
        fc.infiniteStream(fc.constantFrom('works', 'fails', 'locks')),
        fc.integer({ min: 0, max: 3_000 }),
        async (users, fates, milliseconds) => {
          clock = new VirtualClock();
          store = new InMemoryConnectionStore(clock);
          const settled = await settle(users.map(String));
          store.beforeEach = () => {
            const fate = fates.next().value;
            store.model.lockedUsers.clear();
            if (fate === 'locks') {
              for (const user of users) if (user % 2 === 0) store.model.lockedUsers.add(String(user));
            }
            if (fate === 'fails') {
              throw new StoreError('STORE_UNAVAILABLE', 'down');
            }
          };

          const verdicts = await record(settled, milliseconds);

          expect(new Set(verdicts.keys())).toEqual(new Set(settled.map(({ lease }) => lease.leaseId)));
          const applied = store.applied();
          for (const [leaseId, verdict] of verdicts) {
            expect(applied.get(leaseId)).toBe(verdict === 'unsettled' ? undefined : 1);
          }
        },
      ),
      { numRuns: 50 },
    );
  });
});

async function settle(userIds: readonly string[]): Promise<SettledLease[]> {
  for (const userId of userIds) {
    store.connect(userId, 60);
  }
  const claim = {
    batchSize: 100,
    refreshWithinSeconds: 300,
    leaseSeconds: 600,
    callsPerSecond: null,
    dueFrom: null,
    sweepAgeSeconds: 0,
  };
  const { leases } = await store.claimDue(claim, 1_000);
  return leases.map((lease) => ({ lease, outcome: toOutcome(refreshedAnswer({ rotated: true }), 0, 0) }));
}

async function record(settled: readonly SettledLease[], milliseconds = 60_000) {
  return (await recordOutcomes(settled, clock.monotonicMilliseconds() + milliseconds, store, clock)).verdicts;
}

function recordCalls(): number {
  return store.calls.filter((method) => method === 'record').length;
}

function everyLease(settled: readonly SettledLease[], verdict: string) {
  return new Map(settled.map(({ lease }) => [lease.leaseId, verdict]));
}
