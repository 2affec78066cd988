/** One connection as operators see it, without tokens. The names are the database's. */
export type ShownConnection = Readonly<Record<string, unknown>> & {
  readonly user_id: string;
  readonly state:
    | 'connected'
    | 'reauthorization_required'
    | 'disconnected'
    | 'never_connected'
    | 'unknown_user';
};

/** The same with its history, newest change first. */
export type ExplainedConnection = ShownConnection & {
  readonly changes: readonly {
    /** ISO 8601. */
    readonly changed_at: string;
    readonly change: string;
    readonly reason: string | null;
  }[];
};

/** Statistics of all connections. The names are the database's, which gives operators more than these. */
export type ConnectionStatistics = Readonly<Record<string, unknown>> & {
  readonly schema_version: number;
  /** Connections whose grant is alive. */
  readonly connected: number;
  /** Those of them whose token has expired. */
  readonly expired: number;
  /** Seconds since the first of these expired; 0 if there is none. */
  readonly oldest_overdue_seconds: number;
  /** Connections whose user has to reconnect. */
  readonly waiting_for_reauthorization: number;
  /** Living connections that Spotify's six-month limit ends within 30 days. */
  readonly reauthorizations_due: number;
  /** Connections whose last expiry from outside cannot be true, because its writer has a bug. */
  readonly implausible_expiries: number;
  /** Connections that share a refresh token with another one. */
  readonly shared_tokens: number;
  /** Seconds since the revocation breaker opened; null: it is closed. */
  readonly breaker_open_seconds: number | null;
  /** Nearly every grant is refused, as if the client's credentials were another app's. */
  readonly nearly_all_revoked: boolean;
  /** Seconds until a function may call Spotify; null: it may call now. */
  readonly not_before_in: number | null;
  /** Null: no sweep has finished yet. */
  readonly seconds_since_last_sweep: number | null;
};

/** The same at the end of a sweep. */
export type FinishedSweep = ConnectionStatistics & {
  /** Changes of profiles since the last sweep that did not reach the queue at once. */
  readonly newly_missed_profile_changes: number;
};

/** Reads all connections, and changes them for operators. Rejects with a StoreError or SecretError. */
export interface ConnectionAdministration {
  /** One connection. */
  show(userId: string): Promise<ShownConnection>;
  /** One connection with its history of the last 90 days. */
  explain(userId: string): Promise<ExplainedConnection>;
  /** The id of the user whose account has this e-mail address; null: none. */
  findUser(email: string): Promise<string | null>;
  statistics(): Promise<ConnectionStatistics>;
  /** Records the end of a sweep, if it could do its work. */
  finishSweep(didItsWork: boolean): Promise<FinishedSweep>;
  /**
   * Undoes up to `batchSize` of the marks made since a time (ISO 8601), while the tokens still exist; returns how
   * many.
   */
  restore(since: string, batchSize: number): Promise<number>;
  /** How many marks made since a time (ISO 8601) could be undone. */
  countRestorable(since: string): Promise<number>;
}
