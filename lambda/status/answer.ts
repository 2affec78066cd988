import type { ConnectionStatus } from './check-connection.ts';

/** The JSON body of a 200 answer; the HTTP contract is in `docs/openapi.yaml`. */
export type StatusAnswer =
  | {
      readonly connected: true;
      readonly spotify_user_id: string | null;
      readonly spotify_user_email: string | null;
      readonly connected_at: string | null;
      readonly expires_at: string | null;
      readonly auto_refreshed: boolean;
      readonly reauthorize_by: string | null;
      readonly degraded?: true;
    }
  | { readonly connected: false }
  | {
      readonly connected: false;
      readonly reason: 'token_refresh_failed';
      readonly message: string;
      readonly retryable: false;
    }
  | {
      readonly connected: false;
      readonly reason: 'token_refresh_failed';
      readonly message: string;
      readonly retryable: true;
      readonly retry_after: number;
    };

/** The answer that tells a user about the state of their connection. */
export function toAnswer(status: ConnectionStatus): StatusAnswer {
  switch (status.kind) {
    case 'connected':
      return {
        connected: true,
        spotify_user_id: status.details.spotifyUserId,
        spotify_user_email: status.details.spotifyUserEmail,
        connected_at: status.details.connectedAt,
        expires_at: status.details.expiresAt,
        auto_refreshed: status.autoRefreshed,
        reauthorize_by: status.details.reauthorizeBy,
        ...(status.degraded && { degraded: true }),
      };
    case 'not_connected':
      return { connected: false };
    case 'reauthorization_required':
      return {
        connected: false,
        reason: 'token_refresh_failed',
        message: 'Your Spotify connection has ended. Please connect Spotify again.',
        retryable: false,
      };
    case 'refresh_failed':
      return {
        connected: false,
        reason: 'token_refresh_failed',
        message: status.isRevoked
          ? 'Spotify refuses your connection at the moment, possibly by mistake. It is kept and tried again; if you do not want to wait, connect Spotify again.'
          : 'Spotify cannot be reached right now. Your connection is kept; please try again shortly.',
        retryable: true,
        retry_after: status.retryAfterSeconds,
      };
  }
}
