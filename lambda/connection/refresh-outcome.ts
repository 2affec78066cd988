import { computeBackoffSeconds } from './backoff.ts';
import type { LeaseReference } from './lease.ts';
import type { RevocationReason, TokenAnswer } from './token-endpoint.ts';

/** The result of a lease: one is recorded for every lease that was taken. */
export type RefreshOutcome =
  /** The new tokens are stored. */
  | Extract<TokenAnswer, { kind: 'refreshed' }>
  /** Only the new refresh token is stored; the connection is due again after this many seconds. */
  | { readonly kind: 'refresh_token_only'; readonly refreshToken: string; readonly retryAfterSeconds: number }
  /** The grant is marked dead, or, if that is not believed yet, due again after this many seconds. */
  | {
      readonly kind: 'revoked';
      readonly reason: RevocationReason;
      readonly retryAfterSeconds: number;
    }
  /**
   * `throttled`: no function calls Spotify for this many seconds. `unavailable`, `rejected`: a temporary failure; the connection
   * is due again after this many seconds.
   */
  | { readonly kind: 'throttled' | 'unavailable' | 'rejected'; readonly retryAfterSeconds: number }
  /** Spotify rejects our client: this says nothing about the connection, and no function calls Spotify for a minute. */
  | { readonly kind: 'client_rejected' }
  /** The lease was not used: the connection is free again at once. */
  | { readonly kind: 'released' };

/** A lease with its outcome. */
export type SettledLease = { readonly lease: LeaseReference; readonly outcome: RefreshOutcome };

/**
 * Interprets Spotify's answer for the connection whose token was sent.
 *
 * @param answer null if Spotify was not asked
 * @param failures how many attempts failed before this one
 * @param random a number from 0 up to, not including, 1
 */
export function toOutcome(answer: TokenAnswer | null, failures: number, random: number): RefreshOutcome {
  switch (answer?.kind) {
    case 'refreshed':
      return answer;
    case 'refresh_token_only':
      return {
        kind: 'refresh_token_only',
        refreshToken: answer.refreshToken,
        retryAfterSeconds: computeBackoffSeconds(failures, random),
      };
    case 'throttled':
      return { kind: 'throttled', retryAfterSeconds: answer.retryAfterSeconds };
    case 'revoked':
      return {
        kind: 'revoked',
        reason: answer.reason,
        retryAfterSeconds: computeBackoffSeconds(failures, random),
      };
    case 'unavailable':
    case 'rejected':
      return { kind: answer.kind, retryAfterSeconds: computeBackoffSeconds(failures, random) };
    case 'client_rejected':
      return { kind: 'client_rejected' };
    case undefined:
      return { kind: 'released' };
  }
}
