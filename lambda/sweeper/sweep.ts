import { millisecondsUntil } from '../connection/clock.ts';
import { describeFailure } from '../connection/operational-error.ts';
import { reportRefusals } from '../connection/report-refusals.ts';
import { drainRescueQueue } from './drain-rescue-queue.ts';
import { type FanOutDependencies, handOver, type SweepPart, wakeHelpers } from './fan-out.ts';
import {
  claimingReserveMilliseconds,
  type RefreshDueDependencies,
  refreshDue,
  type SweepStatus,
} from './refresh-due.ts';
import type { Counts } from './tally.ts';

const DATABASE_TIMEOUT_MILLISECONDS = 10_000;
const RECONCILE_BATCH_SIZE = 5_000;
const CLEAR_BATCH_SIZE = 1_000;
const DEAD_GRANT_GRACE_SECONDS = 7 * 24 * 60 * 60;

/** The work of one invocation, counted in connections. */
export type SweepResult = Counts & {
  readonly status: SweepStatus;
  /** Connections that are still due. */
  readonly remaining: number;
  readonly duration_ms: number;
};

/** What a sweep works with. */
export type SweepDependencies = RefreshDueDependencies & FanOutDependencies;

/**
 * Keeps every stored token fresh: stores the tokens in the rescue queue, wakes helpers if there is too much work for
 * one invocation, then refreshes due connections until no token is left that would expire before the next sweep, or
 * time is up, or further calls to Spotify are pointless. An invocation that made progress and ran out of time hands over to
 * another one.
 *
 * @param part the sweep, and this invocation's part in it
 * @param deadline a time of the monotonic clock at which the invocation ends
 * @returns what this invocation did; rejects with a StoreError or SecretError if the database or a secret is
 *   unreachable
 */
export async function sweep(
  part: SweepPart,
  deadline: number,
  dependencies: SweepDependencies,
): Promise<SweepResult> {
  const { store, clock, metrics, windowSeconds } = dependencies;
  const startedAt = clock.monotonicMilliseconds();
  const claimUntil = deadline - claimingReserveMilliseconds;

  await drainRescueQueue(claimUntil, dependencies);
  // A rescued token is stored now, but may have expired long ago: it does not count as a refresh of this sweep.
  const beganAt = clock.monotonicMilliseconds() - part.ageSeconds * 1_000;
  if (part.role === 'first') {
    // Half of the time, because maintenance can wait for the next sweep and a token that expires cannot.
    await maintain(clock.monotonicMilliseconds() + millisecondsUntil(clock, claimUntil) / 2, dependencies);
    const due = await countDue();
    metrics.add({ sweepDue: due });
    await wakeHelpers(due, part, beganAt, dependencies);
  }
  const { status, counts, breakerIsOpen } = await refreshDue(part, beganAt, deadline, dependencies);
  if (status === 'out_of_time' && counts.refreshed > 0 && !breakerIsOpen) {
    await handOver(part, beganAt, dependencies);
  }
  return {
    status,
    ...counts,
    remaining: await countDue(),
    duration_ms: Math.round(clock.monotonicMilliseconds() - startedAt),
  };

  function countDue(): Promise<number> {
    return store.countDue(windowSeconds, DATABASE_TIMEOUT_MILLISECONDS);
  }
}

/**
 * Repairs differences between the queue and the profiles, and removes the tokens of grants that are long dead. A
 * failure is logged, and the next sweep continues: no token expires because of it.
 */
async function maintain(until: number, { store, clock, log, metrics }: SweepDependencies): Promise<void> {
  let healed = 0;
  let cleared = 0;
  try {
    let done = false;
    while (!done && millisecondsUntil(clock, until) > 0) {
      const page = await store.reconcile(RECONCILE_BATCH_SIZE, DATABASE_TIMEOUT_MILLISECONDS);
      healed += page.healed;
      done = page.done;
    }
    done = false;
    while (!done && millisecondsUntil(clock, until) > 0) {
      const batch = await store.clearDeadGrants(
        DEAD_GRANT_GRACE_SECONDS,
        CLEAR_BATCH_SIZE,
        DATABASE_TIMEOUT_MILLISECONDS,
      );
      reportRefusals(batch.refusals, { log, metrics });
      cleared += batch.cleared;
      done = batch.done;
    }
  } catch (error) {
    log.warn('sweep maintenance failed', describeFailure(error));
  }
  if (healed > 0 || cleared > 0) {
    log.info('sweep maintenance', { queue_rows_healed: healed, dead_grants_cleared: cleared });
  }
}
