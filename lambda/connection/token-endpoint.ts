/**
 * What Spotify says ended a grant: its six months, the user, or a token that it does not know. A hint for people and for
 * counting, never proof: Spotify documents none of these texts. Only the revocation breaker looks at one of them: `expired`,
 * for a grant of unknown age, is no evidence of a mistake.
 */
export type RevocationReason = 'expired' | 'revoked' | 'invalid' | 'unknown';

/** What one call to Spotify's token endpoint can end in. */
export type TokenAnswer =
  | {
      readonly kind: 'refreshed';
      readonly accessToken: string;
      /** Absent: Spotify sent none, and the one that was used stays valid. */
      readonly refreshToken?: string;
      readonly expiresInSeconds: number;
      /** What was odd about it: somebody should look. */
      readonly reason?: string;
    }
  /** A success of which only the new refresh token can be used; the one that was sent may be dead from now on. */
  | { readonly kind: 'refresh_token_only'; readonly refreshToken: string; readonly reason: string }
  /** `invalid_grant`: evidence that the user or the six-month limit ended the grant. */
  | { readonly kind: 'revoked'; readonly reason: RevocationReason }
  | { readonly kind: 'throttled'; readonly retryAfterSeconds: number }
  /** No usable answer: 5xx, 408, timeout, reset, not JSON, an absurd lifetime. Says nothing about the grant. */
  | { readonly kind: 'unavailable'; readonly reason: string }
  /** Spotify refuses our client id or secret. Says nothing about any grant. */
  | { readonly kind: 'client_rejected'; readonly reason: string }
  /** Any other refusal of this one request. */
  | { readonly kind: 'rejected'; readonly reason: string };

/** Spotify's token endpoint. */
export interface TokenEndpoint {
  /**
   * Exchanges a refresh token for a new access token (RFC 6749, section 6). Calls Spotify at most once more, when
   * it refused, whatever it was, and newer credentials are at hand; no call outlives the timeout. Every answer and
   * every failure of the network is a value; rejects only with a SecretError, when the client's credentials cannot be
   * read.
   */
  refresh(refreshToken: string, timeoutMilliseconds: number): Promise<TokenAnswer>;
}

/** What Spotify says to the client alone. */
export type ClientAnswer =
  | { readonly kind: 'accepted' }
  | Extract<TokenAnswer, { kind: 'throttled' | 'unavailable' | 'client_rejected' | 'rejected' }>;

/** Asks Spotify about the client, without any user's token. */
export interface ClientCheck {
  /**
   * Asks for a token of the client's own, and forgets it (RFC 6749, section 4.4); once more as above. Every
   * answer and every failure of the network is a value; rejects only with a SecretError.
   */
  checkClient(timeoutMilliseconds: number): Promise<ClientAnswer>;
}
