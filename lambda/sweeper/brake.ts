import type { Lease } from '../connection/lease.ts';
import type { TokenAnswer } from '../connection/token-endpoint.ts';

/** This many different connections rejected in a row, without a success in between, are not about the connections. */
const REJECTIONS_THAT_STOP = 3;

/**
 * Why no more calls start, from the mildest reason to the gravest. A graver reason replaces a milder one, never
 * the other way round: a failed sweep must not look like one that Spotify asked to wait.
 */
const REASONS = ['throttled', 'client_rejected', 'failed'] as const;

type Reason = (typeof REASONS)[number];

/** Decides when further calls to Spotify are pointless or harmful. */
export class Brake {
  #reason: Reason | null = null;
  #failure: unknown;
  #rejectionsInARow = 0;

  /** Why no more calls start; null: go on. */
  get reason(): Reason | null {
    return this.#reason;
  }

  /** The cause of `failed`: the first reported failure. */
  get failure(): unknown {
    return this.#failure;
  }

  /**
   * Reports Spotify's answer for a lease. A rejection is no further evidence if the connection failed before: at the end
   * of a sweep only such connections are left.
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

  /** Reports that no function may call Spotify for a while. */
  throttle(): void {
    this.#stop('throttled');
  }

  /** Reports a failure that the sweep cannot continue after. */
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
