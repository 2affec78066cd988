/** What an operator sees of one connection, never a token. The names are those of the database. */
export type ShownConnection = Readonly<Record<string, unknown>> & {
  readonly user_id: string;
  readonly state:
    | 'connected'
    | 'reauthorization_required'
    | 'disconnected'
    | 'never_connected'
    | 'unknown_user';
};

/** How a connection came to be as it is: the same, and its history, the newest change first. */
export type ExplainedConnection = ShownConnection & {
  readonly changes: readonly {
    /** ISO 8601. */
    readonly changed_at: string;
    readonly change: string;
    readonly reason: string | null;
  }[];
};

/** How all connections stand at one moment. The names are those of the database, which gives operators more than these. */
export type ConnectionStatistics = Readonly<Record<string, unknown>> & {
  readonly schema_version: number;
  /** Connections whose grant lives. */
  readonly connected: number;
  /** Those of them whose token has run out. */
  readonly expired: number;
  /** Seconds since the first of these ran out; 0 when there is none. */
  readonly oldest_overdue_seconds: number;
  /** Connections that wait for their user to authorize again. */
  readonly waiting_for_reauthorization: number;
  /** Living connections that Spotify's six-month limit ends within 30 days. */
  readonly reauthorizations_due: number;
  /** Connections whose last expiry from outside cannot be true: whoever writes it has a bug. */
  readonly implausible_expiries: number;
  /** Connections whose refresh token another one has too. */
  readonly shared_tokens: number;
  /** Seconds since the revocation breaker opened; null: it is closed. */
  readonly breaker_open_seconds: number | null;
  /** Nearly every grant is refused, as if the client's credentials were another app's. */
  readonly nearly_all_revoked: boolean;
  /** Seconds for which nobody may call Spotify; null: anybody may. */
  readonly not_before_in: number | null;
  /** Null: no sweep has come to its end yet. */
  readonly seconds_since_last_sweep: number | null;
};

/** The same at the end of a sweep. */
export type FinishedSweep = ConnectionStatistics & {
  /** Changes of profiles since the last sweep that did not reach the queue at once. */
  readonly newly_missed_profile_changes: number;
};

/** Looks at all connections, and does to them what operators ask for. Rejects with a StoreError or SecretError. */
export interface ConnectionAdministration {
  /** What is known of one connection. */
  show(userId: string): Promise<ShownConnection>;
  /** What is known of one connection, and what became of it within the last 90 days. */
  explain(userId: string): Promise<ExplainedConnection>;
  /** The id of the user whose account has this e-mail address; null: there is none. */
  findUser(email: string): Promise<string | null>;
  statistics(): Promise<ConnectionStatistics>;
  /** Remembers that a sweep is over, if it could do its work. */
  finishSweep(didItsWork: boolean): Promise<FinishedSweep>;
  /**
   * Undoes up to so many of the marks made since a moment (ISO 8601), as long as the tokens are still there; answers how
   * many.
   */
  restore(since: string, batchSize: number): Promise<number>;
  /** How many marks made since a moment (ISO 8601) could be undone. */
  countRestorable(since: string): Promise<number>;
}
