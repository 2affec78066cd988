import { readInstant, readText } from './json.ts';
import { boundSeconds } from './retry-after.ts';

/** A connection that works. Times are ISO 8601 in UTC; null is what is not known. */
export interface Connection {
  readonly spotifyUserId: string | null;
  readonly spotifyUserEmail: string | null;
  /** When the user authorized. */
  readonly connectedAt: string | null;
  /** When the stored access token runs out; the API replaces it in time. */
  readonly expiresAt: string | null;
  /** When Spotify ends the authorization, six months after it was given. An estimate. */
  readonly reauthorizeBy: string | null;
  /** The answer led to a refresh of the access token. */
  readonly autoRefreshed: boolean;
  /** The token still works, but could not be refreshed when it should have been. */
  readonly degraded: boolean;
}

/** What the status call says about a user. A `message` is for the user: text, not markup. */
export type ConnectionStatus =
  | ({ readonly kind: 'connected' } & Connection)
  /** Never connected, or disconnected by the user. */
  | { readonly kind: 'disconnected' }
  /** The grant is dead: the user has to connect Spotify again. */
  | { readonly kind: 'reauthorization_required'; readonly message: string | null }
  /** The token ran out and Spotify cannot be reached. The connection is kept; ask again. */
  | { readonly kind: 'unavailable'; readonly message: string | null; readonly retryAfterSeconds: number };

/** A status that says what the connection is. */
export type KnownStatus = Exclude<ConnectionStatus, { kind: 'unavailable' }>;

/** What a successful answer says; null when it is none of the contract (`docs/openapi.yaml`). */
export function readStatus(body: Readonly<Record<string, unknown>>): ConnectionStatus | null {
  const { connected, reason, message, retryable, retry_after } = body;
  if (connected === true) {
    return {
      kind: 'connected',
      spotifyUserId: readText(body['spotify_user_id']),
      spotifyUserEmail: readText(body['spotify_user_email']),
      connectedAt: readInstant(body['connected_at']),
      expiresAt: readInstant(body['expires_at']),
      reauthorizeBy: readInstant(body['reauthorize_by']),
      autoRefreshed: body['auto_refreshed'] === true,
      degraded: body['degraded'] === true,
    };
  }
  if (connected !== false) {
    return null;
  }
  if (reason === undefined) {
    return { kind: 'disconnected' };
  }
  return retryable === false
    ? { kind: 'reauthorization_required', message: readText(message) }
    : {
        kind: 'unavailable',
        message: readText(message),
        retryAfterSeconds: boundSeconds(retry_after),
      };
}
