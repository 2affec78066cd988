import type { RecordedVerdict } from './connection-store.ts';
import type { Lease } from './lease.ts';
import type { Log } from './log.ts';
import type { TokenAnswer } from './token-endpoint.ts';

/**
 * Writes the one log line of a refresh: the user, Spotify's answer, the database's verdict. It is a warning,
 * unless a new token is stored and the answer was unremarkable, or a dead grant is still dead.
 *
 * @param answer null if there was no time to ask Spotify at all
 * @param successLevel level of the line about a new token: DEBUG where there are a million of them
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
    // A lease is only granted for a due token.
    needs_refresh: true,
    new_expires_at: answer?.kind === 'refreshed' ? addSeconds(lease, answer.expiresInSeconds) : undefined,
  });
}

/** By the database's clock, like stored expiries: counted from the time of the lease. */
function addSeconds({ leasedAt }: Lease, seconds: number): string | null {
  return new Date(Date.parse(leasedAt) + seconds * 1_000).toJSON();
}
