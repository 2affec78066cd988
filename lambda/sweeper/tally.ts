import type { RecordedVerdict } from '../connection/connection-store.ts';
import type { TokenAnswer } from '../connection/token-endpoint.ts';

/** Connections of a sweep, by result. */
export type Counts = {
  /** Fresh tokens in the database. */
  readonly refreshed: number;
  /** Attempts that failed temporarily. */
  readonly failed: number;
  /** The sum of refreshed, failed, revoked, throttled and stale, without grants that are still dead and rejected clients. */
  readonly total: number;
  readonly revoked: number;
  readonly throttled: number;
  /** Outcomes that came too late: the connection had changed meanwhile. */
  readonly stale: number;
};

/** Counts the results of used leases. */
export class Tally {
  /** Attempts to which Spotify gave no usable answer, whatever their verdict. */
  unavailable = 0;
  #counts = { refreshed: 0, failed: 0, revoked: 0, throttled: 0, stale: 0 };

  count(answer: TokenAnswer, verdict: RecordedVerdict = 'unsettled'): void {
    // A grant that was already marked dead does not count again.
    if (answer.kind === 'client_rejected' || verdict === 'confirmed') {
      return;
    }
    if (answer.kind === 'unavailable') {
      this.unavailable += 1;
    }
    if (verdict === 'stale') {
      this.#counts.stale += 1;
    } else if (
      verdict === 'unsettled' ||
      verdict === 'held' ||
      verdict === 'refused' ||
      answer.kind === 'refresh_token_only' ||
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
