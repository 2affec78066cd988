import type { RecordedVerdict } from '../connection/connection-store.ts';
import type { TokenAnswer } from '../connection/token-endpoint.ts';

/** Connections of a sweep, by what became of them. */
export type Counts = {
  /** Fresh tokens that are in the database. */
  readonly refreshed: number;
  /** Attempts that failed for now. */
  readonly failed: number;
  /** The sum of refreshed, failed, revoked, throttled and stale: not of grants that are dead still, nor of a rejected client. */
  readonly total: number;
  readonly revoked: number;
  readonly throttled: number;
  /** Outcomes that came too late: somebody else changed the connection meanwhile. */
  readonly stale: number;
};

/** Counts what became of the leases that were used. */
export class Tally {
  /** Attempts to which Spotify gave no usable answer, whatever became of their outcome. */
  unavailable = 0;
  #counts = { refreshed: 0, failed: 0, revoked: 0, throttled: 0, stale: 0 };

  count(answer: TokenAnswer, verdict: RecordedVerdict = 'unsettled'): void {
    // A grant that was found dead before is not found dead again.
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
