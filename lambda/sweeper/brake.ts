import type { Lease } from '../connection/lease.ts';
import type { TokenAnswer } from '../connection/token-endpoint.ts';

/** So many different connections refused in a row, with no success between, are not about the connections. */
const REJECTIONS_THAT_STOP = 3;

/** Decides when calling Spotify any further is pointless or harmful. */
export class Brake {
  /** Why no call is started any more; null: go on. */
  reason: 'throttled' | 'client_rejected' | 'failed' | null = null;
  /** What `failed` came from. */
  failure: unknown;
  #rejectionsInARow = 0;

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
      this.reason = 'client_rejected';
    } else if (answer.kind === 'throttled') {
      this.wait();
    }
  }

  /** Reports that nobody may call Spotify for a while. */
  wait(): void {
    this.reason ??= 'throttled';
  }

  /** Reports something without which the sweep cannot go on. */
  fail(error: unknown): void {
    if (this.reason !== 'failed') {
      this.reason = 'failed';
      this.failure = error;
    }
  }
}
