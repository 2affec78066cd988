import type { Verdict } from './connection-store.ts';
import type { Lease } from './lease.ts';
import type { Log } from './log.ts';
import type { TokenAnswer } from './token-endpoint.ts';

/**
 * Writes the one line that every refresh leaves: whose, what Spotify answered, what the database made of it.
 *
 * @param answer null when time was too short to ask Spotify at all
 */
export function logRefresh(
  log: Log,
  lease: Lease,
  answer: TokenAnswer | null,
  verdict: Verdict | 'unsettled' | undefined,
): void {
  const kind = answer?.kind ?? 'released';
  log[kind === 'refreshed' ? 'info' : 'warn']('token refresh', {
    user_id: lease.userId,
    outcome: kind,
    reason: answer !== null && 'reason' in answer ? answer.reason : undefined,
    verdict,
    seconds_left_before: lease.secondsLeft,
    seconds_left_after: answer?.kind === 'refreshed' ? answer.expiresInSeconds : undefined,
  });
}
