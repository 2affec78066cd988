import { millisecondsUntil } from '../connection/clock.ts';
import type { ClaimedBatch } from '../connection/connection-store.ts';
import { type ExchangePolicy, exchange, WRITE_RESERVE_MILLISECONDS } from '../connection/exchange.ts';
import type { Lease } from '../connection/lease.ts';
import type { RefreshDependencies } from '../connection/refresh-connection.ts';
import type { TokenAnswer } from '../connection/token-endpoint.ts';
import { Brake } from './brake.ts';
import type { SweepPart } from './fan-out.ts';
import { OutcomeRecorder } from './outcome-recorder.ts';
import { LOWEST_CONCURRENCY, PacedTasks, Pacing } from './pacing.ts';
import { type Counts, Tally } from './tally.ts';

/** A failed attempt is not repeated at once: the connection backs off, and this sweep or the next one returns to it. */
const POLICY: ExchangePolicy = { attempts: 1, callTimeoutMilliseconds: 5_000 };

const DATABASE_TIMEOUT_MILLISECONDS = 10_000;

/** Reserved at the end of an invocation to record pending answers and to report. */
const CLOSING_RESERVE_MILLISECONDS = 20_000;

/** No claim starts later than this before the end of an invocation: its leases would only go back unused. */
export const claimingReserveMilliseconds =
  CLOSING_RESERVE_MILLISECONDS + POLICY.callTimeoutMilliseconds + WRITE_RESERVE_MILLISECONDS;

/** A lease longer than an invocation can last protects nothing. */
const LONGEST_LEASE_SECONDS = 15 * 60;

/** If calls are limited, a batch contains the calls for at most this time. */
const LONGEST_BATCH_UNDER_CEILING_SECONDS = 5;

/** Leases are then this much longer: half of it covers the turns of two batches, the other half the call. */
const LEASE_UNDER_CEILING_SECONDS = 4 * LONGEST_BATCH_UNDER_CEILING_SECONDS;

/** Another process's lease lapses minutes from now, but is usually settled within seconds; waiting costs money. */
const LONGEST_SLEEP_MILLISECONDS = 5_000;

/** What refreshing connections in bulk works with. */
export type RefreshDueDependencies = RefreshDependencies & {
  /** Seconds before expiry from which a token is refreshed: a token that a sweep leaves alone outlives the next one. */
  readonly windowSeconds: number;
  /** Connections per claim, 1 to 1,000. */
  readonly batchSize: number;
  /** Calls to Spotify per second that sweeps may start, across all invocations; null: no limit. */
  readonly callsPerSecond: number | null;
};

/**
 * - `completed`: no connection expires before the next sweep, except those that could not be refreshed now; for a
 *   helper, also except those that are leased elsewhere or backing off.
 * - `out_of_time`: the invocation's time is up; connections are still due.
 * - `throttled`: no function may call Spotify for a while; the shared not-before says until when.
 * - `client_rejected`: Spotify rejects our client, or rejects everything; no connection changed because of it.
 */
export type SweepStatus = 'completed' | 'out_of_time' | 'throttled' | 'client_rejected';

/** The result of one invocation. */
export type RefreshedDue = {
  readonly status: SweepStatus;
  readonly counts: Counts;
  readonly breakerIsOpen: boolean;
};

/** Seconds of a sweep's lease: the first call, then two batches at the lowest concurrency, all as slow as they may be. */
export function computeSweepLeaseSeconds(batchSize: number): number {
  const callsInARow = 1 + 2 * Math.ceil(batchSize / LOWEST_CONCURRENCY);
  const seconds = (callsInARow * POLICY.callTimeoutMilliseconds + WRITE_RESERVE_MILLISECONDS) / 1_000;
  return Math.min(LONGEST_LEASE_SECONDS, Math.ceil(seconds));
}

/**
 * Refreshes connections until nothing is left to claim, time is up, or further calls to Spotify are pointless. Starts a call
 * for each lease of a batch as soon as the pace allows, and claims the next batch meanwhile. The first invocation of a
 * sweep waits for connections that are leased elsewhere or backing off; helpers do not.
 *
 * Settles every lease, however it ends: unused leases go back, and pending calls are recorded,
 * because their answers may contain the only valid tokens. Memory does not grow with the number of connections.
 *
 * @param beganAt a time of the monotonic clock: connections refreshed since then are not refreshed again
 * @param deadline a time of the monotonic clock at which the invocation ends
 * @returns the result; rejects with a StoreError or SecretError if the database or a secret is unreachable
 */
export async function refreshDue(
  part: SweepPart,
  beganAt: number,
  deadline: number,
  dependencies: RefreshDueDependencies,
): Promise<RefreshedDue> {
  return new BulkRefresh(part, beganAt, deadline, dependencies).run();
}

class BulkRefresh {
  readonly #part: SweepPart;
  readonly #beganAt: number;
  readonly #deadline: number;
  readonly #dependencies: RefreshDueDependencies;
  readonly #batchSize: number;
  readonly #pacing = new Pacing();
  readonly #tasks = new PacedTasks(this.#pacing);
  readonly #brake = new Brake();
  readonly #tally = new Tally();
  readonly #recorder: OutcomeRecorder;
  /** Where the last claim ended. */
  #dueFrom: string | null = null;

  constructor(part: SweepPart, beganAt: number, deadline: number, dependencies: RefreshDueDependencies) {
    const { batchSize, callsPerSecond } = dependencies;
    this.#part = part;
    this.#beganAt = beganAt;
    this.#deadline = deadline;
    this.#dependencies = dependencies;
    this.#batchSize =
      callsPerSecond === null
        ? batchSize
        : Math.min(batchSize, Math.ceil(callsPerSecond * LONGEST_BATCH_UNDER_CEILING_SECONDS));
    this.#recorder = new OutcomeRecorder({
      batchSize: this.#batchSize,
      deadline,
      pacing: this.#pacing,
      brake: this.#brake,
      tally: this.#tally,
      dependencies,
    });
  }

  async run(): Promise<RefreshedDue> {
    const status = await this.#claimAndRefresh().finally(() => this.#settle());
    this.#dependencies.metrics.add({ sweepUnavailable: this.#tally.unavailable });
    if (this.#brake.reason === 'failed') {
      throw this.#brake.failure;
    }
    return {
      status: this.#brake.reason ?? status,
      counts: this.#tally.counts(),
      breakerIsOpen: this.#recorder.breakerIsOpen,
    };
  }

  async #claimAndRefresh(): Promise<SweepStatus> {
    while (this.#mayGoOn()) {
      const batch = await this.#claim();
      if (batch.leases.length > 0) {
        await this.#startAll(batch);
        await this.#settle();
        continue;
      }
      // None of our calls is pending, so this is about connections that are leased elsewhere, backing off, or not yet allowed.
      if (batch.nextClaimInSeconds === null || this.#part.role === 'helper') {
        return 'completed';
      }
      const waitMilliseconds = batch.nextClaimInSeconds * 1_000;
      if (waitMilliseconds >= this.#millisecondsToClaim()) {
        return 'out_of_time';
      }
      await this.#dependencies.clock.sleep(Math.min(waitMilliseconds, LONGEST_SLEEP_MILLISECONDS));
    }
    return 'out_of_time';
  }

  /** Starts a batch and, each claimed while the one before is being started, those after it, until one is not full. */
  async #startAll(first: ClaimedBatch): Promise<void> {
    let batch: ClaimedBatch | null = first;
    while (batch !== null) {
      const next: Promise<ClaimedBatch> | null =
        batch.leases.length === this.#batchSize && this.#mayGoOn() ? this.#claim() : null;
      // Awaited when its turn comes; an earlier rejection must not count as unhandled.
      next?.catch(() => {});
      await this.#start(batch);
      batch = await next;
    }
  }

  async #start({ leases, callsStartInSeconds }: ClaimedBatch): Promise<void> {
    const { clock, callsPerSecond } = this.#dependencies;
    let nextCallAt = clock.monotonicMilliseconds() + callsStartInSeconds * 1_000;
    for (const lease of leases) {
      if (callsPerSecond !== null && this.#brake.reason === null) {
        await clock.sleep(millisecondsUntil(clock, nextCallAt));
      }
      await this.#tasks.start(() => this.#refresh(lease));
      if (callsPerSecond !== null) {
        // From its real start: time lost to the pace is not made up for, because that would exceed the limit.
        nextCallAt = Math.max(nextCallAt, clock.monotonicMilliseconds()) + 1_000 / callsPerSecond;
      }
    }
  }

  async #refresh(lease: Lease): Promise<void> {
    await this.#recorder.add(lease, this.#brake.reason === null ? await this.#exchange(lease) : null);
  }

  async #exchange(lease: Lease): Promise<TokenAnswer | null> {
    const { tokenEndpoint, clock, random } = this.#dependencies;
    const callDeadline = this.#deadline - CLOSING_RESERVE_MILLISECONDS;
    try {
      const answer = await exchange(lease, POLICY, callDeadline, tokenEndpoint, clock, random);
      if (answer !== null) {
        this.#pacing.report(answer.kind !== 'throttled' && answer.kind !== 'unavailable');
        this.#brake.report(answer, lease);
      }
      return answer;
    } catch (error) {
      this.#brake.fail(error);
      return null;
    }
  }

  async #claim(): Promise<ClaimedBatch> {
    const { store, clock, windowSeconds, callsPerSecond } = this.#dependencies;
    const batch = await store.claimDue(
      {
        batchSize: this.#batchSize,
        refreshWithinSeconds: windowSeconds,
        leaseSeconds:
          computeSweepLeaseSeconds(this.#batchSize) +
          (callsPerSecond === null ? 0 : LEASE_UNDER_CEILING_SECONDS),
        sweepAgeSeconds: (clock.monotonicMilliseconds() - this.#beganAt) / 1_000,
        callsPerSecond,
        dueFrom: this.#dueFrom,
      },
      DATABASE_TIMEOUT_MILLISECONDS,
    );
    this.#dueFrom = batch.dueUpTo;
    if (batch.notBeforeInSeconds !== null) {
      this.#brake.throttle();
    }
    return batch;
  }

  /** Waits for the pending calls and records their answers. */
  async #settle(): Promise<void> {
    await this.#tasks.finish();
    await this.#recorder.finish();
  }

  #mayGoOn(): boolean {
    return this.#brake.reason === null && this.#millisecondsToClaim() > 0;
  }

  #millisecondsToClaim(): number {
    return millisecondsUntil(this.#dependencies.clock, this.#deadline - claimingReserveMilliseconds);
  }
}
