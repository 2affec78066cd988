import type { Lease } from '../connection/lease.ts';
import type { TokenAnswer } from '../connection/token-endpoint.ts';

/** So many different connections refused in a row, with no success between, are not about the connections. */
const REJECTIONS_THAT_STOP = 3;

/**
 * Why no call is started any more, from the mildest to the gravest. A graver reason takes the place of a milder one, never
 * the other way round: a sweep that failed must not pass for one that Spotify asked to wait.
 */
const REASONS = ['throttled', 'client_rejected', 'failed'] as const;

type Reason = (typeof REASONS)[number];

/** Decides when calling Spotify any further is pointless or harmful. */
export class Brake {
  #reason: Reason | null = null;
  #failure: unknown;
  #rejectionsInARow = 0;

  /** Why no call is started any more; null: go on. */
  get reason(): Reason | null {
    return this.#reason;
  }

  /** What `failed` came from: the first failure that was reported. */
  get failure(): unknown {
    return this.#failure;
  }

  /**
   * Reports what Spotify answered to a lease. A connection that failed before is no further evidence when it is
   * rejected: at the end of a sweep only such are left.
   */
  report(answer: TokenAnswer, { failures }: Pick<Lease, 'failures'>): void {
    if (answer.kind === 'rejected' && failures === 0) {
      this.#rejectionsInARow += 1;
    } else if (answer.kind === 'refreshed') {
      this.#rejectionsInARow = 0;
    }
    if (answer.kind === 'client_rejected' || this.#rejectionsInARow >= REJECTIONS_THAT_STOP) {
      this.#stop('client_rejected');
    } else if (answer.kind === 'throttled') {
      this.throttle();
    }
  }

  /** Reports that nobody may call Spotify for a while. */
  throttle(): void {
    this.#stop('throttled');
  }

  /** Reports something without which the sweep cannot go on. */
  fail(error: unknown): void {
    if (this.#reason !== 'failed') {
      this.#stop('failed');
      this.#failure = error;
    }
  }

  #stop(reason: Reason): void {
    if (this.#reason === null || REASONS.indexOf(reason) > REASONS.indexOf(this.#reason)) {
      this.#reason = reason;
    }
  }
}
