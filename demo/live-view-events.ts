/** What the live view shows. This file goes into the page too: it imports nothing. */

export type SpotifyCondition = 'up' | 'down' | 'rate-limited';
export type DatabaseCondition = 'up' | 'down';

/** What the panel does to the signed-in user's connection. */
export type UserAction = 'expire-token' | 'six-months' | 'revoke-grant';

export type ConnectionState =
  | 'connected'
  | 'never-connected'
  | 'disconnected'
  | 'reauthorization-required'
  | 'held';

/** Something that happened to a connection; times are ISO 8601. */
export type ViewedEvent = { readonly at: string } & (
  | { readonly kind: 'action'; readonly action: UserAction; readonly secondsPassed: number }
  /** A token request. The status is null where Spotify sent no answer. */
  | { readonly kind: 'call'; readonly outcome: string; readonly status: number | null }
  /** A row of the connection's history (supabase/migrations/20261126000150_history.sql). */
  | { readonly kind: 'change'; readonly change: string; readonly reason: string | null }
);

/** Something that happened, and to whose connection. */
export interface EventOfUser {
  readonly userId: string;
  readonly event: ViewedEvent;
}

/** A user's row in the queue; times are ISO 8601. */
export interface ViewedConnection {
  readonly userId: string;
  readonly email: string;
  readonly state: ConnectionState;
  /** Null: unknown, or nothing is stored. */
  readonly expiresAt: string | null;
  /** Whether something is refreshing it right now. */
  readonly isLeased: boolean;
  /** Refreshes that failed in a row. */
  readonly failures: number;
  /** The last ones, newest first. */
  readonly events: readonly ViewedEvent[];
}

export interface ViewedSweep {
  /** When it ended. */
  readonly at: string;
  readonly status: string;
  readonly refreshed: number;
  readonly failed: number;
  readonly revoked: number;
}

/** The server-sent event `snapshot`: everything but the log, sent whenever it has changed. */
export interface Snapshot {
  readonly spotify: SpotifyCondition;
  readonly database: DatabaseCondition;
  /** Nothing calls Spotify before this time, because Spotify asked for a pause. Null: no pause. */
  readonly notBefore: string | null;
  /** When the breaker opened, because too many grants were refused. Null: it is closed. */
  readonly breakerOpenedAt: string | null;
  readonly isSweeping: boolean;
  /** What the schedule says; null where it is disabled. */
  readonly schedule: { readonly everySeconds: number; readonly nextAt: string } | null;
  /** In the order in which the users signed up. */
  readonly connections: readonly ViewedConnection[];
  /** How many there are; not all may be listed. */
  readonly connectionCount: number;
  /** The last ones, newest first. */
  readonly sweeps: readonly ViewedSweep[];
}

/** The server-sent event `log`: something that happened in a function, at the API, on the event bus or to an alarm. */
export interface LogLine {
  readonly at: string;
  readonly level: 'INFO' | 'WARN' | 'ERROR';
  /** The function, the API or the service. */
  readonly source: string;
  readonly what: string;
  /** A name, or the id where no name is known. */
  readonly user: string | null;
  readonly outcome: string | null;
  readonly durationMillis: number | null;
  /** Further details, such as `refreshed=3 reason=revoked`. */
  readonly details: string;
}
