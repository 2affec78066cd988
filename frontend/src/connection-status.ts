import { readInstant, readText } from './json.ts';
import { boundSeconds } from './retry-after.ts';

/** A working connection. Times are ISO 8601 in UTC; null means unknown. */
export interface Connection {
  readonly spotifyUserId: string | null;
  readonly spotifyUserEmail: string | null;
  /** When the user authorized. */
  readonly connectedAt: string | null;
  /** When the stored access token expires; the API replaces it before that. */
  readonly expiresAt: string | null;
  /** When Spotify ends the authorization, six months after the consent. An estimate. */
  readonly reauthorizeBy: string | null;
  /** The call refreshed the access token. */
  readonly autoRefreshed: boolean;
  /** The token still works, but a refresh was due and failed. */
  readonly degraded: boolean;
}

/** The API's answer about a user. A `message` is for the user: text, not markup. */
export type ConnectionStatus =
  | ({ readonly kind: 'connected' } & Connection)
  /** Never connected, or disconnected by the user. */
  | { readonly kind: 'disconnected' }
  /** The grant is dead: the user has to connect Spotify again. */
  | { readonly kind: 'reauthorization_required'; readonly message: string | null }
  /** The token has expired and Spotify cannot be reached. The connection is kept; ask again. */
  | { readonly kind: 'unavailable'; readonly message: string | null; readonly retryAfterSeconds: number };

/** A status that says whether the user is connected. */
export type KnownStatus = Exclude<ConnectionStatus, { kind: 'unavailable' }>;

/** Parses a successful answer; null if it does not match the contract (`docs/openapi.yaml`). */
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
