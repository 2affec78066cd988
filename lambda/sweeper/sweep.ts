import { millisecondsUntil } from '../connection/clock.ts';
import { StoreError, type Verdict } from '../connection/connection-store.ts';
import { type ExchangePolicy, exchange, WRITE_RESERVE_MILLISECONDS } from '../connection/exchange.ts';
import type { Lease } from '../connection/lease.ts';
import { logRefresh } from '../connection/log-refresh.ts';
import { recordOrRescue } from '../connection/record-or-rescue.ts';
import type { RefreshDependencies } from '../connection/refresh-connection.ts';
import { outcomeOf, type SettledLease } from '../connection/refresh-outcome.ts';
import type { TokenAnswer } from '../connection/token-endpoint.ts';
import { drainRescueQueue } from './drain-rescue-queue.ts';
import { LOWEST_CONCURRENCY, Pacing, runPaced } from './pacing.ts';

/** A failed attempt is not repeated at once: the connection backs off and this sweep or the next comes back to it. */
const POLICY: ExchangePolicy = { attempts: 1, callTimeoutMilliseconds: 5_000 };

const DATABASE_TIMEOUT_MILLISECONDS = 10_000;
const RECONCILE_BATCH_SIZE = 5_000;
const CLEAR_BATCH_SIZE = 500;
const DEAD_GRANT_GRACE_SECONDS = 7 * 24 * 60 * 60;

/** Kept free at the end of an invocation to record what is under way and to report. */
const CLOSING_RESERVE_MILLISECONDS = 20_000;

/** A connection claimed later than this before the closing reserve could only be handed back. */
const SHORTEST_REFRESH_MILLISECONDS = POLICY.callTimeoutMilliseconds + WRITE_RESERVE_MILLISECONDS;

/** So many different connections refused in a row, with no success between, are not about the connections. */
const REJECTIONS_THAT_STOP = 3;

/** A lease longer than an invocation can last protects nothing. */
const LONGEST_LEASE_SECONDS = 15 * 60;

/**
 * - `completed`: no connection expires before the next sweep, except those that could not be refreshed now.
 * - `out_of_time`: the invocation's time is up; `remaining` are still due.
 * - `throttled`: nobody may call Spotify for a while; the shared not-before says until when.
 * - `client_rejected`: Spotify refuses our client, or refuses everything; no connection changed because of it.
 */
export type SweepStatus = 'completed' | 'out_of_time' | 'throttled' | 'client_rejected';

/** What a sweep did, counted in connections. */
export type SweepResult = {
  readonly status: SweepStatus;
  /** Fresh tokens that are in the database. */
  readonly refreshed: number;
  /** Attempts that failed for now. */
  readonly failed: number;
  /** Leases that were used: the sum of refreshed, failed, revoked, throttled and stale. */
  readonly total: number;
  readonly revoked: number;
  readonly throttled: number;
  /** Outcomes that came too late: somebody else changed the connection meanwhile. */
  readonly stale: number;
  /** Connections that are still due. */
  readonly remaining: number;
  readonly duration_ms: number;
};

/** What a sweep works with. */
export type SweepDependencies = RefreshDependencies & {
  /** Seconds before expiry from which a token is refreshed: what a sweep passes over outlives the next one. */
  readonly windowSeconds: number;
  /** Connections per claim, 1 to 1,000. */
  readonly batchSize: number;
};

/** Seconds of a sweep's lease: two batches at the lowest concurrency, every call taking as long as it may. */
export function sweepLeaseSeconds(batchSize: number): number {
  const callsInARow = Math.ceil(batchSize / LOWEST_CONCURRENCY);
  const seconds = (2 * callsInARow * POLICY.callTimeoutMilliseconds + WRITE_RESERVE_MILLISECONDS) / 1_000;
  return Math.min(LONGEST_LEASE_SECONDS, Math.ceil(seconds));
}

/**
 * Keeps every stored token fresh: stores what waits in the rescue queue, then claims a batch of due connections,
 * refreshes them, records the batch, until nothing is left that would expire before the next sweep, or time is up, or
 * Spotify makes going on pointless. Connections that somebody holds or that back off are waited for. Memory does not
 * grow with their number.
 *
 * @param deadline a moment of the monotonic clock at which the invocation ends
 * @returns what was done; rejects with a StoreError or SecretError when the database or a secret is out of reach
 */
export async function sweep(deadline: number, dependencies: SweepDependencies): Promise<SweepResult> {
  const { store, clock, log, windowSeconds } = dependencies;
  const startedAt = clock.monotonicMilliseconds();
  const claimUntil = deadline - CLOSING_RESERVE_MILLISECONDS - SHORTEST_REFRESH_MILLISECONDS;
  const pacing = new Pacing();
  const tally = new Tally();

  await drainRescueQueue(claimUntil, dependencies);
  // What was rescued is stored just now, but may have run out long ago: it is no refresh of this sweep.
  const refreshingSince = clock.monotonicMilliseconds();
  await maintain(claimUntil, dependencies);
  let status: SweepStatus | 'sweeping' = 'sweeping';
  while (status === 'sweeping') {
    const batch = await store.claimDue(
      {
        batchSize: dependencies.batchSize,
        refreshWithinSeconds: windowSeconds,
        leaseSeconds: sweepLeaseSeconds(dependencies.batchSize),
        sweepAgeSeconds: (clock.monotonicMilliseconds() - refreshingSince) / 1_000,
      },
      DATABASE_TIMEOUT_MILLISECONDS,
    );
    if (batch.notBeforeInSeconds !== null) {
      status = 'throttled';
    } else if (batch.leases.length > 0) {
      status = await refreshBatch(batch.leases, deadline, pacing, tally, dependencies);
      log.info('sweep progress', { ...tally.counts(), concurrency: pacing.limit });
    } else if (batch.nextClaimInSeconds === null) {
      status = 'completed';
    } else if (batch.nextClaimInSeconds * 1_000 < millisecondsUntil(clock, claimUntil)) {
      await clock.sleep(batch.nextClaimInSeconds * 1_000);
    } else {
      status = 'out_of_time';
    }
    if (status === 'sweeping' && millisecondsUntil(clock, claimUntil) === 0) {
      status = 'out_of_time';
    }
  }

  return {
    status,
    ...tally.counts(),
    remaining: await store.countDue(windowSeconds, DATABASE_TIMEOUT_MILLISECONDS),
    duration_ms: Math.round(clock.monotonicMilliseconds() - startedAt),
  };
}

/**
 * Heals the queue where it drifted from the profiles, and removes the tokens of grants that are long dead. Should
 * that fail, it is reported, and the next sweep goes on with it: no token is left to expire because of it.
 */
async function maintain(until: number, { store, clock, log }: SweepDependencies): Promise<void> {
  let healed = 0;
  let cleared = 0;
  try {
    let done = false;
    while (!done && millisecondsUntil(clock, until) > 0) {
      const page = await store.reconcile(RECONCILE_BATCH_SIZE, DATABASE_TIMEOUT_MILLISECONDS);
      healed += page.healed;
      done = page.done;
    }
    cleared = await store.clearDeadGrants(
      DEAD_GRANT_GRACE_SECONDS,
      CLEAR_BATCH_SIZE,
      DATABASE_TIMEOUT_MILLISECONDS,
    );
  } catch (error) {
    if (!(error instanceof StoreError)) {
      throw error;
    }
    log.warn('sweep maintenance failed', { code: error.code, reason: error.message });
  }
  if (healed > 0 || cleared > 0) {
    log.info('sweep maintenance', { queue_rows_healed: healed, dead_grants_cleared: cleared });
  }
}

/**
 * Refreshes and records one batch; every lease of it is settled, those that were not used by giving them back, also
 * when Spotify's credentials cannot be read: answers that are under way may carry the only living tokens.
 */
async function refreshBatch(
  leases: readonly Lease[],
  deadline: number,
  pacing: Pacing,
  tally: Tally,
  dependencies: SweepDependencies,
): Promise<SweepStatus | 'sweeping'> {
  const { tokenEndpoint, clock, random, log } = dependencies;
  const callDeadline = deadline - CLOSING_RESERVE_MILLISECONDS;
  const answers = new Map<string, TokenAnswer | null>();
  const settled: SettledLease[] = [];
  const brake = new Brake();
  const failures: unknown[] = [];

  await runPaced(leases, pacing, async (lease) => {
    const answer =
      brake.reason === null && failures.length === 0
        ? await exchange(lease, POLICY, callDeadline, tokenEndpoint, clock, random).catch((error) => {
            failures.push(error);
            return null;
          })
        : null;
    const outcome = outcomeOf(answer, lease.failures, random());
    answers.set(lease.leaseId, answer);
    settled.push({ lease, outcome });
    if (answer !== null) {
      pacing.report(answer.kind !== 'throttled' && answer.kind !== 'unavailable');
      brake.report(answer);
    }
  });

  const recorded = await recordOrRescue(settled, deadline - WRITE_RESERVE_MILLISECONDS, dependencies);
  for (const lease of leases) {
    const answer = answers.get(lease.leaseId) ?? null;
    const verdict = recorded.verdicts.get(lease.leaseId);
    if (answer !== null) {
      tally.count(answer, verdict);
      logRefresh(log, lease, answer, verdict);
    }
  }
  if (failures.length > 0) {
    throw failures[0];
  }
  if (recorded.breakerIsOpen) {
    log.error('revocation breaker is open: what Spotify calls revoked is not believed', tally.counts());
  }
  return brake.reason ?? (recorded.notBeforeInSeconds === null ? 'sweeping' : 'throttled');
}

/** Decides when going on is pointless or harmful. */
class Brake {
  reason: 'throttled' | 'client_rejected' | null = null;
  #rejectionsInARow = 0;

  report(answer: TokenAnswer): void {
    this.#rejectionsInARow =
      answer.kind === 'rejected'
        ? this.#rejectionsInARow + 1
        : answer.kind === 'refreshed'
          ? 0
          : this.#rejectionsInARow;
    if (answer.kind === 'client_rejected' || this.#rejectionsInARow >= REJECTIONS_THAT_STOP) {
      this.reason = 'client_rejected';
    } else if (answer.kind === 'throttled') {
      this.reason ??= 'throttled';
    }
  }
}

type Counts = Pick<SweepResult, 'refreshed' | 'failed' | 'total' | 'revoked' | 'throttled' | 'stale'>;

/** Counts what became of the leases that were used. */
class Tally {
  #counts = { refreshed: 0, failed: 0, revoked: 0, throttled: 0, stale: 0 };

  count(answer: TokenAnswer, verdict: Verdict | 'unsettled' | undefined): void {
    if (answer.kind === 'client_rejected') {
      return;
    }
    if (verdict === 'stale') {
      this.#counts.stale += 1;
    } else if (
      verdict === 'unsettled' ||
      verdict === 'held' ||
      answer.kind === 'rotated' ||
      answer.kind === 'unavailable' ||
      answer.kind === 'rejected'
    ) {
      this.#counts.failed += 1;
    } else {
      this.#counts[answer.kind] += 1;
    }
  }

  counts(): Counts {
    const total = Object.values(this.#counts).reduce((sum, count) => sum + count, 0);
    return { ...this.#counts, total };
  }
}
