import { beforeEach, describe, expect, test } from '@jest/globals';
import { handOver, type SweepPart, wakeHelpers } from '../../../lambda/sweeper/fan-out.ts';
import { InMemorySweepQueue } from '../fakes/in-memory-sweep-queue.ts';
import { RecordingLog } from '../fakes/recording-log.ts';
import { VirtualClock } from '../fakes/virtual-clock.ts';

const part: SweepPart = { role: 'first', scheduledAt: '2026-11-24T12:30:00Z', ageSeconds: 0, link: 0 };

let clock: VirtualClock;
let sweepQueue: InMemorySweepQueue;
let log: RecordingLog;

beforeEach(() => {
  clock = new VirtualClock();
  sweepQueue = new InMemorySweepQueue();
  log = new RecordingLog();
});

describe('helpers', () => {
  test.each([
    [0, 0],
    [1_000, 0],
    [1_001, 1],
    [50_000, 49],
    // However much is due, or a count is wrong: it must not become a bill.
    [101_000, 100],
    [1_000_000_000, 100],
  ])('for %i due connections, of which one invocation refreshes 1,000: %i', async (due, helpers) => {
    await wakeHelpers(due, part, clock.monotonicMilliseconds(), dependencies());
    expect(sweepQueue.wakeUps).toHaveLength(helpers);
  });

  test('are told which sweep they are part of, and how old it is', async () => {
    const beganAt = clock.monotonicMilliseconds();
    clock.advance(12_400);
    await wakeHelpers(2_000, part, beganAt, dependencies());
    expect(sweepQueue.wakeUps).toEqual([{ scheduledAt: part.scheduledAt, ageSeconds: 12, link: 0 }]);
  });

  test('that nobody needs touch no queue: one that is out of reach goes unnoticed', async () => {
    sweepQueue.isOutOfReach = true;
    await wakeHelpers(1_000, part, clock.monotonicMilliseconds(), dependencies());
    expect(sweepQueue.wakeUps).toEqual([]);
    expect(log.lines).toEqual([]);
  });

  test('that cannot be woken, the queue being out of reach, are reported; the invocation goes on alone', async () => {
    sweepQueue.isOutOfReach = true;
    await wakeHelpers(5_000, part, clock.monotonicMilliseconds(), dependencies());
    expect(log.lines).toEqual([
      {
        level: 'error',
        message: 'further invocations not woken',
        fields: expect.objectContaining({ code: 'SWEEP_QUEUE_UNAVAILABLE', count: 4 }),
      },
    ]);
  });
});

describe('an invocation hands over', () => {
  test.each([
    [0, [1]],
    [1, [2]],
    // A chain of four invocations is the longest.
    [2, []],
  ])('at link %i to links %j', async (link, links) => {
    await handOver({ ...part, link }, clock.monotonicMilliseconds(), dependencies());
    expect(sweepQueue.wakeUps.map((wakeUp) => wakeUp.link)).toEqual(links);
  });

  test('not when the next scheduled sweep is there to do the same', async () => {
    const beganAt = clock.monotonicMilliseconds();
    clock.advance(1_800_000);
    await handOver(part, beganAt, dependencies());
    expect(sweepQueue.wakeUps).toEqual([]);
  });
});

function dependencies() {
  return {
    sweepQueue,
    connectionsPerInvocation: 1_000,
    intervalSeconds: 1_800,
    clock,
    log,
  };
}
