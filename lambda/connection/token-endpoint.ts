/**
 * Spotify's reason for the end of a grant: its six months, the user, or an unknown token. A hint for people and for
 * counting, never proof: Spotify documents none of these texts. Only the revocation breaker uses one of them: `expired`,
 * for a grant of unknown age, is no evidence of a mistake.
 */
export type RevocationReason = 'expired' | 'revoked' | 'invalid' | 'unknown';

/** The results of a call to Spotify's token endpoint. */
export type TokenAnswer =
  | {
      readonly kind: 'refreshed';
      readonly accessToken: string;
      /** Absent: Spotify sent none, and the current one stays valid. */
      readonly refreshToken?: string;
      readonly expiresInSeconds: number;
      /** An anomaly in the answer that an operator should see. */
      readonly reason?: string;
    }
  /** A success in which only the new refresh token is usable; the one that was sent may be dead from now on. */
  | { readonly kind: 'refresh_token_only'; readonly refreshToken: string; readonly reason: string }
  /** `invalid_grant`: evidence that the user or the six-month limit ended the grant. */
  | { readonly kind: 'revoked'; readonly reason: RevocationReason }
  | { readonly kind: 'throttled'; readonly retryAfterSeconds: number }
  /** No usable answer: 5xx, 408, timeout, reset, not JSON, an absurd lifetime. Says nothing about the grant. */
  | { readonly kind: 'unavailable'; readonly reason: string }
  /** Spotify rejects our client id or secret. Says nothing about any grant. */
  | { readonly kind: 'client_rejected'; readonly reason: string }
  /** Any other rejection of this one request. */
  | { readonly kind: 'rejected'; readonly reason: string };

/** Spotify's token endpoint. */
export interface TokenEndpoint {
  /**
   * Exchanges a refresh token for a new access token (RFC 6749, section 6). Calls Spotify a second time at most, if
   * it refused for any reason and newer credentials are available; no call outlives the timeout. Every answer and
   * every network failure is a value; it rejects only with a SecretError, if the client's credentials cannot be
   * read.
   */
  refresh(refreshToken: string, timeoutMilliseconds: number): Promise<TokenAnswer>;
}

/** Spotify's answer about the client alone. */
export type ClientAnswer =
  | { readonly kind: 'accepted' }
  | Extract<TokenAnswer, { kind: 'throttled' | 'unavailable' | 'client_rejected' | 'rejected' }>;

/** Asks Spotify about the client, without any user's token. */
export interface ClientCheck {
  /**
   * Requests a token for the client itself, and drops it (RFC 6749, section 4.4); retries as above. Every
   * answer and every network failure is a value; rejects only with a SecretError.
   */
  checkClient(timeoutMilliseconds: number): Promise<ClientAnswer>;
}
