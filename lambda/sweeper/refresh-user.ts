import type { ConnectionCheck } from '../connection/connection-store.ts';
import type { ExchangePolicy } from '../connection/exchange.ts';
import { type RefreshDependencies, refreshConnection } from '../connection/refresh-connection.ts';
import type { TokenAnswer } from '../connection/token-endpoint.ts';
import { drainRescueQueue } from './drain-rescue-queue.ts';

const POLICY: ExchangePolicy = { attempts: 2, callTimeoutMilliseconds: 5_000 };
const LEASE_SECONDS = 30;
const BUDGET_MILLISECONDS = 25_000;
const DATABASE_TIMEOUT_MILLISECONDS = 10_000;

/** The connection counts as due, however fresh its token. */
const WHATEVER_ITS_EXPIRY = null;

/** The result for the one connection. */
export type RefreshUserResult = {
  readonly user_id: string;
  /**
   * Spotify's answer, or the verdict of recording it (`held`, `refused`, `stale`, `unsettled`), or the state that kept
   * Spotify from being asked.
   */
  readonly outcome:
    | TokenAnswer['kind']
    | 'released'
    | 'held'
    | 'refused'
    | 'stale'
    | 'unsettled'
    | Exclude<ConnectionCheck['state'], 'leased'>;
  readonly reason?: string;
  /** Seconds until the next possible attempt. */
  readonly retry_after?: number;
};

/**
 * Refreshes one user's connection now, even if its token is valid; for operators. Asks again about a dead
 * grant; leaves a connection alone that another process is refreshing or that is backing off.
 *
 * @returns the result; rejects with a StoreError or SecretError if the database or a secret is unreachable
 */
export async function refreshUser(
  userId: string,
  dependencies: RefreshDependencies,
): Promise<RefreshUserResult> {
  const { store, clock } = dependencies;
  const deadline = clock.monotonicMilliseconds() + BUDGET_MILLISECONDS;
  await drainRescueQueue(deadline, dependencies);
  const check = await store.check(userId, WHATEVER_ITS_EXPIRY, LEASE_SECONDS, DATABASE_TIMEOUT_MILLISECONDS);
  if (check.state !== 'leased') {
    return {
      user_id: userId,
      outcome: check.state,
      ...('retryInSeconds' in check && { retry_after: Math.ceil(check.retryInSeconds) }),
    };
  }
  const { answer, outcome, verdict } = await refreshConnection(check.lease, POLICY, deadline, dependencies);
  return {
    user_id: userId,
    outcome:
      verdict === 'held' || verdict === 'refused' || verdict === 'stale' || verdict === 'unsettled'
        ? verdict
        : (answer?.kind ?? 'released'),
    ...(answer !== null && 'reason' in answer && { reason: answer.reason }),
    ...('retryAfterSeconds' in outcome &&
      (outcome.kind !== 'revoked' || verdict === 'held') && {
        retry_after: Math.ceil(outcome.retryAfterSeconds),
      }),
  };
}
