/** What the live view shows. This file goes into the page too: it imports nothing. */

export type SpotifyCondition = 'up' | 'down' | 'rate-limited';
export type DatabaseCondition = 'up' | 'down';

export type ConnectionState =
  | 'connected'
  | 'never-connected'
  | 'disconnected'
  | 'reauthorization-required'
  | 'held';

/** A user's row in the queue; times are ISO 8601. */
export interface ViewedConnection {
  readonly userId: string;
  readonly email: string;
  readonly state: ConnectionState;
  /** Null: unknown, or nothing is stored. */
  readonly expiresAt: string | null;
  /** Whether somebody is refreshing it right now. */
  readonly isLeased: boolean;
  /** Refreshes that failed in a row. */
  readonly failures: number;
}

export interface ViewedSweep {
  readonly at: string;
  readonly status: string;
  readonly refreshed: number;
  readonly failed: number;
  readonly revoked: number;
  readonly remaining: number;
  readonly durationMillis: number;
}

export interface ViewedCall {
  readonly at: string;
  readonly email: string | null;
  readonly outcome: string;
  readonly status: number | null;
  readonly durationMillis: number;
}

/** The server-sent event `snapshot`: everything but the log, sent whenever it has changed. */
export interface Snapshot {
  readonly spotify: SpotifyCondition;
  readonly database: DatabaseCondition;
  /** Until then nobody calls Spotify, because it has asked everybody to wait. Null: anybody may. */
  readonly notBefore: string | null;
  /** Since when so many grants are said to be revoked that it is not believed. Null: it is believed. */
  readonly breakerOpenedAt: string | null;
  readonly isSweeping: boolean;
  /** Soonest expiry first. */
  readonly connections: readonly ViewedConnection[];
  /** The last ones, newest first. */
  readonly sweeps: readonly ViewedSweep[];
  /** The last ones, newest first. */
  readonly calls: readonly ViewedCall[];
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
  /** Whatever else is worth reading, such as `refreshed=3 reason=revoked`. */
  readonly details: string;
}
