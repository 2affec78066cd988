import type { Clock } from '../connection/clock.ts';
import type { Log } from '../connection/log.ts';
import { describeFailure } from '../connection/operational-error.ts';
import type { SweepQueue, WakeUp } from '../connection/sweep-queue.ts';

/** Lambda ends a chain in which a queue and a function invoke each other; ours is far shorter than the 16 that it allows. */
const LONGEST_CHAIN = 2;

/** The limit, so that a wrong count cannot become a large bill. */
const MOST_HELPERS = 100;

/** The sweep that an invocation takes part in, and its role. */
export type SweepPart = WakeUp & {
  /** `first` counts, wakes the others and waits for connections that are leased or backing off; `helper` refreshes what it can claim. */
  readonly role: 'first' | 'helper';
};

export type FanOutDependencies = {
  readonly sweepQueue: SweepQueue;
  /** Due connections per invocation. */
  readonly connectionsPerInvocation: number;
  /** Seconds from one scheduled sweep to the next. */
  readonly intervalSeconds: number;
  readonly clock: Clock;
  readonly log: Log;
};

/**
 * Wakes as many helpers as the due connections need in addition to this invocation: none in a small deployment,
 * which never uses the queue. The queue's event source limits how many run at once.
 *
 * @param beganAt a time of the monotonic clock
 */
export async function wakeHelpers(
  dueConnections: number,
  part: SweepPart,
  beganAt: number,
  dependencies: FanOutDependencies,
): Promise<void> {
  const invocations = Math.ceil(dueConnections / dependencies.connectionsPerInvocation);
  const helpers = Math.min(MOST_HELPERS, invocations - 1);
  if (helpers > 0) {
    await wake(helpers, part.link, part, beganAt, dependencies);
  }
}

/**
 * Hands the rest of a sweep over to one more invocation, unless too many have done so already, or the next scheduled sweep
 * is so near that it does the same work.
 *
 * @param beganAt a time of the monotonic clock
 */
export async function handOver(
  part: SweepPart,
  beganAt: number,
  dependencies: FanOutDependencies,
): Promise<void> {
  const ageSeconds = (dependencies.clock.monotonicMilliseconds() - beganAt) / 1_000;
  if (part.link < LONGEST_CHAIN && ageSeconds < dependencies.intervalSeconds) {
    await wake(1, part.link + 1, part, beganAt, dependencies);
  }
}

/** An unreachable queue is logged: this invocation goes on, and the next sweep comes in any case. */
async function wake(
  count: number,
  link: number,
  { scheduledAt }: SweepPart,
  beganAt: number,
  { sweepQueue, clock, log }: FanOutDependencies,
): Promise<void> {
  const ageSeconds = Math.round((clock.monotonicMilliseconds() - beganAt) / 1_000);
  try {
    await sweepQueue.send(Array.from({ length: count }, () => ({ scheduledAt, ageSeconds, link })));
    log.info('further invocations woken', { count, link });
  } catch (error) {
    log.error('further invocations not woken', { count, link, ...describeFailure(error) });
  }
}
