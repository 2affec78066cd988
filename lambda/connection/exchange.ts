import { type Clock, millisecondsUntil } from './clock.ts';
import type { Lease } from './lease.ts';
import type { TokenAnswer, TokenEndpoint } from './token-endpoint.ts';

/** Reserved at the end of every budget, so that Spotify's answer can still be stored, or rescued. */
export const WRITE_RESERVE_MILLISECONDS = 2_500;

const FIRST_RETRY_DELAY_MILLISECONDS = 150;

/** The limits of the attempts for one lease. */
export type ExchangePolicy = {
  /** Maximum number of calls to Spotify; only `unavailable` is retried. */
  readonly attempts: number;
  /** Milliseconds after which one call counts as unanswered. */
  readonly callTimeoutMilliseconds: number;
};

/**
 * Exchanges the refresh token of a lease, and retries while Spotify is unavailable and time is left.
 *
 * A call only starts if its whole timeout, plus the reserve for the write, fits in before both the deadline and the end of
 * the lease: an exchange that outlives its lease could race with the next holder's.
 *
 * @param deadline a time of the monotonic clock
 * @returns Spotify's last answer, or null if not even one call fitted in; rejects as {@link TokenEndpoint} does
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
