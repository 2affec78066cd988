import { type Clock, millisecondsUntil } from './clock.ts';
import type { ConnectionStore, RecordedVerdict } from './connection-store.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import { describeFailure } from './operational-error.ts';
import { type RecordedOutcomes, recordOutcomes } from './record-outcomes.ts';
import type { SettledLease } from './refresh-outcome.ts';
import { reportRefusals } from './report-refusals.ts';
import { isRotation, type RescueQueue, type Rotation } from './rescue-queue.ts';

/** Reserved from the time for the write: for a connection to the queue, and for encrypting and sending each message. */
const RESCUE_RESERVE_MILLISECONDS = 1_000;
const RESERVE_PER_MESSAGE_MILLISECONDS = 5;

/** Messages on their way at once. With a connection for each, their handshakes would use up the time of all. */
const PUTS_AT_ONCE = 50;

/** What recording works with. */
export type RecordDependencies = {
  readonly store: ConnectionStore;
  readonly rescueQueue: RescueQueue;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
};

/**
 * Records outcomes as {@link recordOutcomes} does, but stops a little earlier. Rotated refresh tokens that may not be
 * stored by then, or that Bondhu's schema rejects, go to the rescue queue.
 *
 * @param deadline a time of the monotonic clock
 * @returns a verdict for every given lease, `unsettled` also for rescued ones, and the shared state
 */
export async function recordOrRescue(
  settled: readonly SettledLease[],
  deadline: number,
  dependencies: RecordDependencies,
): Promise<RecordedOutcomes> {
  const { store, clock } = dependencies;
  const rotations = settled.filter(isRotation);
  const recorded = await recordOutcomes(
    settled,
    deadline - computeRescueReserveMilliseconds(rotations.length),
    store,
    clock,
  ).catch(async (error) => {
    await rescue(rotations, deadline, dependencies);
    throw error;
  });
  if (recorded.breakerIsOpen) {
    dependencies.metrics.add({ breakerOpen: 1 });
  }
  if (recorded.failure !== null) {
    dependencies.log.error('outcomes not recorded', {
      count: [...recorded.verdicts.values()].filter((verdict) => verdict === 'unsettled').length,
      ...describeFailure(recorded.failure),
    });
  }
  reportRefusals(recorded.refusals, dependencies);
  await rescue(
    rotations.filter(({ lease }) => isUnstored(recorded.verdicts.get(lease.leaseId))),
    deadline,
    dependencies,
  );
  return recorded;
}

/** Whether the new tokens may not be in the database. */
export function isUnstored(verdict: RecordedVerdict | undefined): boolean {
  return verdict === undefined || verdict === 'unsettled' || verdict === 'refused';
}

function computeRescueReserveMilliseconds(rotations: number): number {
  return rotations === 0 ? 0 : RESCUE_RESERVE_MILLISECONDS + rotations * RESERVE_PER_MESSAGE_MILLISECONDS;
}

async function rescue(
  rotations: readonly Rotation[],
  deadline: number,
  { rescueQueue, clock, log, metrics }: RecordDependencies,
): Promise<void> {
  const waiting = rotations.values();
  await Promise.all(
    Array.from({ length: Math.min(PUTS_AT_ONCE, rotations.length) }, async () => {
      for (const rotation of waiting) {
        const user_id = rotation.lease.userId;
        // Even after the deadline, if the process was suspended: a late answer costs less than a grant.
        const timeout = Math.max(RESCUE_RESERVE_MILLISECONDS / 2, millisecondsUntil(clock, deadline));
        try {
          await rescueQueue.put(rotation, timeout);
          log.warn('rotated refresh token sent to the rescue queue', { user_id });
          metrics.add({ rescueQueued: 1 });
        } catch (error) {
          log.error('rotated refresh token could not be rescued', { user_id, ...describeFailure(error) });
          metrics.add({ rescueFailed: 1 });
        }
      }
    }),
  );
}
