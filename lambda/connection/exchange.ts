import { type Clock, millisecondsUntil } from './clock.ts';
import type { Lease } from './lease.ts';
import type { TokenAnswer, TokenEndpoint } from './token-endpoint.ts';

/** Kept free at the end of every budget, so that what Spotify answered can still be written down, or else rescued. */
export const WRITE_RESERVE_MILLISECONDS = 2_500;

const FIRST_RETRY_DELAY_MILLISECONDS = 150;

/** How hard one lease is tried. */
export type ExchangePolicy = {
  /** Calls to Spotify at most; only an answer of `unavailable` is tried again. */
  readonly attempts: number;
  /** Milliseconds after which one call counts as unanswered. */
  readonly callTimeoutMilliseconds: number;
};

/**
 * Exchanges the refresh token of a lease, trying again while Spotify is unavailable and time is left.
 *
 * A call is only started when its whole timeout fits in before both the deadline and the end of the lease, with
 * the reserve for the write kept free: an exchange that outlives its lease could race with the next holder's.
 *
 * @param deadline a moment of the monotonic clock
 * @returns Spotify's last answer, or null when not even one call fitted in; rejects as {@link TokenEndpoint} does
 */
export async function exchange(
  lease: Lease,
  policy: ExchangePolicy,
  deadline: number,
  tokenEndpoint: TokenEndpoint,
  clock: Clock,
  random: () => number,
): Promise<TokenAnswer | null> {
  const lastMoment = Math.min(deadline, lease.lapsesAt) - WRITE_RESERVE_MILLISECONDS;
  let answer: TokenAnswer | null = null;
  for (let attempt = 0; attempt < policy.attempts; attempt += 1) {
    if (attempt > 0) {
      await clock.sleep(FIRST_RETRY_DELAY_MILLISECONDS * 2 ** (attempt - 1) * (0.5 + random() / 2));
    }
    // Checked after the pause, not before: a process that was stopped meanwhile may have lost its lease.
    if (millisecondsUntil(clock, lastMoment) < policy.callTimeoutMilliseconds) {
      break;
    }
    answer = await tokenEndpoint.refresh(lease.refreshToken, policy.callTimeoutMilliseconds);
    if (answer.kind !== 'unavailable') {
      break;
    }
  }
  return answer;
}
