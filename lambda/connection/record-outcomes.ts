import { type Clock, millisecondsUntil } from './clock.ts';
import type { ConnectionStore, Recorded, RecordedVerdict, Refusal, SharedState } from './connection-store.ts';
import { OperationalError } from './operational-error.ts';
import type { SettledLease } from './refresh-outcome.ts';

const LONGEST_CALL_MILLISECONDS = 10_000;
const SHORTEST_CALL_MILLISECONDS = 500;
const FIRST_DELAY_MILLISECONDS = 50;
const LONGEST_DELAY_MILLISECONDS = 2_000;

/** A call that failed like this would fail again. */
const IN_VAIN = new Set(['STORE_REFUSED', 'STORE_ANSWER_UNEXPECTED']);

/** The results of recording outcomes. */
export type RecordedOutcomes = SharedState & {
  /** By lease id, one for every given lease. */
  readonly verdicts: ReadonlyMap<string, RecordedVerdict>;
  readonly refusals: readonly Refusal[];
  /** Why the last call failed; null: it did not. */
  readonly failure: OperationalError | null;
};

/**
 * Records outcomes, and keeps trying while there is time, because a new refresh token may be the only valid one.
 * Repeats the call for locked rows, while the database is unavailable, and while it is not set up,
 * because an operator may be about to fix that. Recording is safe to repeat.
 *
 * @param deadline a time of the monotonic clock at which it stops
 * @returns a verdict for every given lease; rejects only with a StoreError of
 *   code `STORE_REFUSED` or `STORE_ANSWER_UNEXPECTED`
 */
export async function recordOutcomes(
  settled: readonly SettledLease[],
  deadline: number,
  store: ConnectionStore,
  clock: Clock,
): Promise<RecordedOutcomes> {
  const verdicts = new Map<string, RecordedVerdict>();
  const refusals: Refusal[] = [];
  let sharedState: SharedState = { notBeforeInSeconds: null, breakerIsOpen: false };
  let failure: OperationalError | null = null;
  let open = settled;
  for (
    let delay = FIRST_DELAY_MILLISECONDS;
    open.length > 0;
    delay = Math.min(LONGEST_DELAY_MILLISECONDS, delay * 2)
  ) {
    const timeLeft = millisecondsUntil(clock, deadline);
    if (timeLeft === 0) {
      break;
    }
    const recorded = await tryToRecord(open, computeCallTimeoutMilliseconds(timeLeft), store);
    failure = recorded instanceof OperationalError ? recorded : null;
    if (!(recorded instanceof OperationalError)) {
      sharedState = recorded;
      for (const [leaseId, verdict] of recorded.verdicts) {
        verdicts.set(leaseId, verdict);
      }
      refusals.push(...recorded.refusals);
    }
    open = open.filter(({ lease }) => (verdicts.get(lease.leaseId) ?? 'busy') === 'busy');
    if (open.length > 0) {
      await clock.sleep(Math.min(delay, millisecondsUntil(clock, deadline)));
    }
  }
  for (const { lease } of open) {
    verdicts.set(lease.leaseId, 'unsettled');
  }
  return { ...sharedState, verdicts, refusals, failure };
}

/** Half of the remaining time, so that there is time for another call if this one is never answered. */
function computeCallTimeoutMilliseconds(timeLeft: number): number {
  const half = Math.max(SHORTEST_CALL_MILLISECONDS, timeLeft / 2);
  return Math.floor(Math.min(LONGEST_CALL_MILLISECONDS, half, timeLeft));
}

async function tryToRecord(
  settled: readonly SettledLease[],
  timeoutMilliseconds: number,
  store: ConnectionStore,
): Promise<Recorded | OperationalError> {
  try {
    return await store.record(settled, timeoutMilliseconds);
  } catch (error) {
    if (error instanceof OperationalError && !IN_VAIN.has(error.code)) {
      return error;
    }
    throw error;
  }
}
