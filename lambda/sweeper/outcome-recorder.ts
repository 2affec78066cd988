import { millisecondsUntil } from '../connection/clock.ts';
import { WRITE_RESERVE_MILLISECONDS } from '../connection/exchange.ts';
import type { Lease } from '../connection/lease.ts';
import { logRefresh } from '../connection/log-refresh.ts';
import { recordOrRescue } from '../connection/record-or-rescue.ts';
import type { RefreshDependencies } from '../connection/refresh-connection.ts';
import { toOutcome } from '../connection/refresh-outcome.ts';
import type { TokenAnswer } from '../connection/token-endpoint.ts';
import type { Brake } from './brake.ts';
import type { Pacing } from './pacing.ts';
import type { Tally } from './tally.ts';

/**
 * How long an answer waits for others to be recorded with. If a process dies and Spotify rotates refresh tokens,
 * unrecorded answers are lost.
 */
const LONGEST_WAIT_MILLISECONDS = 1_000;

/** How long the database may refuse outcomes before new refresh tokens go to the rescue queue. */
const RECORD_BUDGET_MILLISECONDS = 60_000;

/** Spotify's answer for a lease; null: it was not asked. */
type AnsweredLease = { readonly lease: Lease; readonly answer: TokenAnswer | null };

type Gathered = Map<string, AnsweredLease>;

export type OutcomeRecorderOptions = {
  /** Outcomes per batch. */
  readonly batchSize: number;
  /** A time of the monotonic clock at which the invocation ends. */
  readonly deadline: number;
  readonly pacing: Pacing;
  readonly brake: Brake;
  readonly tally: Tally;
  readonly dependencies: RefreshDependencies;
};

/**
 * Collects the outcomes of a sweep and records them in bulk: when a batch is complete, or when the
 * oldest has waited for a second. While one batch is being recorded, the next one collects. If the database is slower than
 * Spotify, callers wait, so that memory never holds more than that. Never rejects: a failure stops the
 * sweep through its brake, and outcomes collected meanwhile are still recorded.
 */
export class OutcomeRecorder {
  /** Whether the database last said that the revocation breaker is open. */
  breakerIsOpen = false;
  readonly #options: OutcomeRecorderOptions;
  /** By user, because the database accepts one outcome per user at a time. */
  #gathered: Gathered = new Map();
  #recording: Promise<void> | null = null;

  constructor(options: OutcomeRecorderOptions) {
    this.#options = options;
  }

  /** Adds an answer, and waits while the database is behind. */
  async add(lease: Lease, answer: TokenAnswer | null): Promise<void> {
    // A user who has reauthorized since the first claim may have been claimed, and answered, a second time.
    while (this.#gathered.has(lease.userId)) {
      await this.#recordNext();
    }
    this.#gathered.set(lease.userId, { lease, answer });
    if (this.#gathered.size === 1) {
      void this.#recordWhenOld(this.#gathered);
    }
    while (this.#gathered.size >= this.#options.batchSize) {
      await this.#recordNext();
    }
  }

  /** Records everything collected; resolves when nothing is left to record. */
  async finish(): Promise<void> {
    while (this.#gathered.size > 0 || this.#recording !== null) {
      await this.#recordNext();
    }
  }

  async #recordWhenOld(gathered: Gathered): Promise<void> {
    await this.#options.dependencies.clock.sleep(LONGEST_WAIT_MILLISECONDS);
    while (this.#gathered === gathered) {
      await this.#recordNext();
    }
  }

  /** Waits for the batch that is being recorded, or else records the collected one. */
  async #recordNext(): Promise<void> {
    if (this.#recording === null) {
      const batch = [...this.#gathered.values()];
      this.#gathered = new Map();
      this.#recording = this.#record(batch)
        .catch((error: unknown) => this.#options.brake.fail(error))
        .finally(() => {
          this.#recording = null;
        });
    }
    await this.#recording;
  }

  async #record(batch: readonly AnsweredLease[]): Promise<void> {
    const { pacing, brake, tally, dependencies } = this.#options;
    const { clock, random, log } = dependencies;
    const recorded = await recordOrRescue(
      batch.map(({ lease, answer }) => ({ lease, outcome: toOutcome(answer, lease.failures, random()) })),
      clock.monotonicMilliseconds() + this.#chooseBudgetMilliseconds(),
      dependencies,
    );
    for (const { lease, answer } of batch) {
      const verdict = recorded.verdicts.get(lease.leaseId);
      if (answer !== null) {
        tally.count(answer, verdict);
        logRefresh(log, lease, answer, verdict, 'debug');
      }
    }
    if (recorded.notBeforeInSeconds !== null) {
      brake.throttle();
    }
    if (recorded.breakerIsOpen && !this.breakerIsOpen) {
      log.error('revocation breaker is open: the refusals of Spotify are not believed', tally.counts());
    }
    this.breakerIsOpen = recorded.breakerIsOpen;
    log.info('sweep progress', { ...tally.counts(), concurrency: pacing.limit });
  }

  /** At most half of the time that is left: another batch may have gathered meanwhile, and needs its own. */
  #chooseBudgetMilliseconds(): number {
    const { deadline, dependencies } = this.#options;
    const timeLeft = millisecondsUntil(dependencies.clock, deadline - WRITE_RESERVE_MILLISECONDS);
    return Math.min(RECORD_BUDGET_MILLISECONDS, timeLeft / 2);
  }
}
