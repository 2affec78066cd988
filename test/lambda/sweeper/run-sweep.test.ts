import { beforeEach, describe, expect, test } from '@jest/globals';
import type { FinishedSweep } from '../../../lambda/connection/connection-administration.ts';
import { StoreError } from '../../../lambda/connection/connection-store.ts';
import type { Metric } from '../../../lambda/connection/metrics.ts';
import { SecretError, type SecretErrorCode } from '../../../lambda/connection/secret-error.ts';
import type { SweepPart } from '../../../lambda/sweeper/fan-out.ts';
import { runSweep, waitForSecrets } from '../../../lambda/sweeper/run-sweep.ts';
import { InMemoryEventBus, InMemoryEventStore } from '../fakes/in-memory-events.ts';
import { healthyStatistics } from '../fakes/statistics.ts';
import { SweepHarness } from '../fakes/sweep-harness.ts';

const statistics: FinishedSweep = {
  ...healthyStatistics,
  connected: 7,
  expired: 2,
  oldest_overdue_seconds: 90,
  waiting_for_reauthorization: 1,
  reauthorizations_due: 3,
  implausible_expiries: 4,
  shared_tokens: 5,
  newly_missed_profile_changes: 6,
};

let harness: SweepHarness;
let store: SweepHarness['store'];
let log: SweepHarness['log'];
let metrics: SweepHarness['metrics'];
let eventStore: InMemoryEventStore;
let eventBus: InMemoryEventBus;
let finished: boolean[];
let measure: () => FinishedSweep;

beforeEach(() => {
  harness = new SweepHarness();
  ({ store, log, metrics } = harness);
  eventStore = new InMemoryEventStore();
  eventBus = new InMemoryEventBus();
  finished = [];
  measure = () => statistics;
});

test('a sweep says when nearly every grant is refused, and what to look at', async () => {
  measure = () => ({ ...statistics, nearly_all_revoked: true });
  await run();
  expect(measured()).toMatchObject({ nearlyAllRevoked: 1 });
  expect(log.lines).toContainEqual(
    expect.objectContaining({ level: 'error', message: expect.stringContaining('Spotify secret') }),
  );
});

describe('before the secrets are filled in', () => {
  const filledIn = { read: async () => ({}) };
  const scheduled: SweepPart = {
    role: 'first',
    scheduledAt: '2026-11-26T04:00:00.000Z',
    ageSeconds: 0,
    link: 0,
  };

  function failing(code: SecretErrorCode) {
    return { read: () => Promise.reject(new SecretError(code, `${code}: do this`)) };
  }

  test.each([
    ['the first', [failing('SECRET_NOT_FILLED_IN'), filledIn]],
    ['the second', [filledIn, failing('SECRET_NOT_FILLED_IN')]],
  ])('a scheduled sweep waits for %s, says so, and is missed by nobody', async (_name, secrets) => {
    expect(await waitForSecrets(scheduled, secrets, harness)).toEqual({ status: 'waiting_for_secrets' });

    expect(log.lines).toEqual([
      {
        level: 'info',
        message: 'waiting for secrets',
        fields: { code: 'SECRET_NOT_FILLED_IN', reason: 'SECRET_NOT_FILLED_IN: do this' },
      },
    ]);
    expect(metrics.added).toEqual([{ scheduledSweepFinished: 1 }]);
  });

  test.each<[string, SweepPart, { read(): Promise<unknown> }]>([
    ['all is filled in', scheduled, filledIn],
    ['a secret cannot be read', scheduled, failing('SECRET_UNREADABLE')],
    ['a secret is malformed', scheduled, failing('SECRET_MALFORMED')],
    ['somebody sweeps by hand', { ...scheduled, scheduledAt: null }, failing('SECRET_NOT_FILLED_IN')],
  ])('no sweep waits where %s', async (_name, part, secret) => {
    expect(await waitForSecrets(part, [filledIn, secret], harness)).toBeNull();
    expect(metrics.added).toEqual([]);
  });
});

describe('a sweep measures', () => {
  test('what it did, how much was due, and how all connections stand at its end', async () => {
    store.connect('a', 60);
    store.connect('b', 60);
    await run();
    expect(measured()).toMatchObject({
      sweepDue: 2,
      sweepRefreshed: 2,
      sweepFailed: 0,
      sweepUnavailable: 0,
      sweepRevoked: 0,
      sweepThrottled: 0,
      sweepStale: 0,
      sweepRemaining: 0,
      sweepDurationMilliseconds: expect.any(Number),
      connected: 7,
      expired: 2,
      oldestOverdueSeconds: 90,
      reauthorizationRequired: 1,
      reauthorizationsDue: 3,
      implausibleExpiries: 4,
      sharedTokens: 5,
      missedProfileChanges: 6,
      breakerOpen: 0,
      nearlyAllRevoked: 0,
      clientRejected: 0,
    });
    expect(measured()).not.toHaveProperty('eventsSent');
    expect(finished).toEqual([true]);
    expect(errors()).toEqual([]);
  });

  test.each([
    ['info', 'completed', 900_000],
    ['warn', 'out_of_time', 30_000],
  ])(
    'itself in one line of the log, with the level %s when it is %s',
    async (level, status, milliseconds) => {
      store.connect('a', null);
      store.leaseElsewhere('a', 60);
      await run({}, milliseconds);
      const { part } = harness.prepare();
      expect(log.lines.filter(({ message }) => message === 'sweep finished')).toMatchObject([
        { level, fields: { status, role: part.role, link: part.link, scheduled_at: part.scheduledAt } },
      ]);
    },
  );

  test('that the breaker is open', async () => {
    measure = () => ({ ...statistics, breaker_open_seconds: 12.5 });
    await run();
    expect(measured()).toMatchObject({ breakerOpen: 1 });
  });

  test('how often Spotify gave no usable answer', async () => {
    store.connect('a', null);
    harness.answer = () => ({ kind: 'unavailable', reason: 'status 503' });
    await run({}, 60_000);
    expect(measured()['sweepUnavailable']).toBe(harness.spotify.calls.length);
  });

  test('the rest even where how the connections stand cannot be found out, and says so', async () => {
    measure = () => {
      throw new StoreError('MIGRATION_MISSING', 'apply migrations');
    };
    expect(await run()).toMatchObject({ status: 'completed' });
    expect(measured()).toMatchObject({ scheduledSweepFinished: 1, sweepRefreshed: 0 });
    expect(measured()).not.toHaveProperty('connected');
    expect(log.lines).toContainEqual({
      level: 'warn',
      message: 'connections not measured',
      fields: { code: 'MIGRATION_MISSING', reason: 'apply migrations' },
    });
  });
});

describe('that a scheduled sweep has finished', () => {
  test('is measured by the one that the schedule started', async () => {
    await run();
    expect(measured()).toMatchObject({ scheduledSweepFinished: 1 });
  });

  test.each([
    ['a sweep by hand', { scheduledAt: null }],
    ['a helper', { role: 'helper' as const }],
  ])('is not measured by %s', async (_, part) => {
    await run(part);
    expect(measured()).not.toHaveProperty('scheduledSweepFinished');
  });

  test('is neither measured nor remembered by one whose client Spotify refuses', async () => {
    store.connect('a', 60);
    harness.answer = () => ({ kind: 'client_rejected', reason: 'invalid_client' });
    await run();
    expect(measured()).toMatchObject({ clientRejected: 1, expired: 2 });
    expect(measured()).not.toHaveProperty('scheduledSweepFinished');
    expect(finished).toEqual([false]);
  });
});

describe('a sweep that Spotify lets do nothing', () => {
  test('has not finished while something is due', async () => {
    store.connect('a', 60);
    store.model.holdEverybodyBack(3_600);
    expect(await run()).toMatchObject({ status: 'throttled', refreshed: 0, remaining: 1 });
    expect(measured()).not.toHaveProperty('scheduledSweepFinished');
    expect(finished).toEqual([false]);
  });

  test('has finished where nothing is due', async () => {
    store.model.holdEverybodyBack(3_600);
    expect(await run()).toMatchObject({ status: 'throttled', remaining: 0 });
    expect(measured()).toMatchObject({ scheduledSweepFinished: 1 });
    expect(finished).toEqual([true]);
  });
});

describe('other teams', () => {
  test('are told everything that is pending, batch after batch', async () => {
    eventStore.add(2_345);
    await run();
    expect(eventBus.taken).toHaveLength(2_345);
    expect(eventStore.events).toEqual([]);
    expect(sumOf('eventsSent')).toBe(2_345);
    expect(sumOf('eventsNotSent')).toBe(0);
    expect(errors()).toEqual([]);
  });

  test('are told by the first invocation of a sweep alone', async () => {
    eventStore.add(1);
    await run({ role: 'helper' });
    expect(eventBus.taken).toEqual([]);
    expect(finished).toEqual([]);
  });

  test('are told the rest by the next sweep where the bus took some only; the sweep succeeds', async () => {
    eventStore.add(3);
    eventBus.takes = ({ id }) => id !== 'event-1';
    expect(await run()).toMatchObject({ status: 'completed' });
    expect(measured()).toMatchObject({ eventsSent: 2, eventsNotSent: 1 });
    expect(log.lines).toContainEqual({
      level: 'error',
      message: 'events not sent',
      fields: {
        count: 1,
        code: 'EVENT_BUS_UNAVAILABLE',
        reason: 'the event bus rejected them: InternalFailure',
      },
    });

    eventBus.takes = () => true;
    await run();
    expect(eventBus.taken.map(({ id }) => id)).toEqual(['event-0', 'event-2', 'event-1']);
  });

  test('are not asked again and again by a sweep whose bus takes nothing', async () => {
    eventStore.add(5_000);
    eventBus.takes = () => false;
    let recordings = 0;
    eventStore.recordSent = async () => {
      recordings += 1;
      return 0;
    };
    await run();
    expect(sumOf('eventsNotSent')).toBe(1_000);
    expect(recordings).toBe(0);
  });

  test('are told again by the next sweep where it could not be recorded; the sweep succeeds', async () => {
    eventStore.add(1);
    eventStore.recordSent = async () => {
      throw new StoreError('STORE_UNAVAILABLE', 'down');
    };
    expect(await run()).toMatchObject({ status: 'completed' });
    await run();
    expect(eventBus.taken.map(({ id }) => id)).toEqual(['event-0', 'event-0']);
  });

  test('are not told when the time of the invocation is up', async () => {
    eventStore.add(1);
    await run({}, 11_000);
    expect(eventBus.taken).toEqual([]);
    await run({}, 13_000);
    expect(eventBus.taken).toHaveLength(1);
  });

  test('are told although Spotify refuses our client', async () => {
    store.connect('a', 60);
    eventStore.add(1);
    harness.answer = () => ({ kind: 'client_rejected', reason: 'invalid_client' });
    expect(await run()).toMatchObject({ status: 'client_rejected' });
    expect(eventBus.taken).toHaveLength(1);
  });
});

function run(part: Partial<SweepPart> = {}, milliseconds = 900_000) {
  const prepared = harness.prepare({ part, milliseconds });
  return runSweep(prepared.part, prepared.deadline, {
    ...prepared.dependencies,
    eventStore,
    eventBus,
    administration: {
      finishSweep: async (didItsWork) => {
        finished.push(didItsWork);
        return measure();
      },
    },
  });
}

/** Everything measured, later values over earlier ones. */
function measured(): Record<string, number> {
  return Object.assign({}, ...metrics.added);
}

function errors() {
  return log.lines.filter(({ level }) => level === 'error');
}

function sumOf(metric: Metric): number {
  return metrics.added.reduce((sum, measurements) => sum + (measurements[metric] ?? 0), 0);
}
