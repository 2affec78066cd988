import type { RecordedVerdict } from './connection-store.ts';
import type { Lease } from './lease.ts';
import type { Log } from './log.ts';
import type { TokenAnswer } from './token-endpoint.ts';

/**
 * Writes the one line that every refresh leaves: whose, what Spotify answered, what the database made of it. A warning,
 * unless a new token is stored and nothing was odd about it, or a grant that was found dead before is dead still.
 *
 * @param answer null when time was too short to ask Spotify at all
 * @param successLevel of the line about a new token: where there is a million of them at a time, it is for debugging
 */
export function logRefresh(
  log: Log,
  lease: Lease,
  answer: TokenAnswer | null,
  verdict: RecordedVerdict | undefined,
  successLevel: 'debug' | 'info',
): void {
  const kind = answer?.kind ?? 'released';
  const reason = answer !== null && 'reason' in answer ? answer.reason : undefined;
  const isStored = kind === 'refreshed' && (verdict === 'applied' || verdict === 'already_applied');
  const isExpected = (isStored && reason === undefined) || verdict === 'confirmed';
  const level = isExpected ? successLevel : 'warn';
  if (level === 'debug' && !log.writesDebug) {
    return;
  }
  log[level]('token refresh', {
    user_id: lease.userId,
    outcome: kind,
    reason,
    verdict,
    expires_at: lease.secondsLeft === null ? null : addSeconds(lease, lease.secondsLeft),
    seconds_left: lease.secondsLeft,
    // Whoever got a lease found the token due.
    needs_refresh: true,
    new_expires_at: answer?.kind === 'refreshed' ? addSeconds(lease, answer.expiresInSeconds) : undefined,
  });
}

/** By the database's clock, as it stores an expiry: counted from when it gave the lease. */
function addSeconds({ leasedAt }: Lease, seconds: number): string | null {
  return new Date(Date.parse(leasedAt) + seconds * 1_000).toJSON();
}
