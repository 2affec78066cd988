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

/** How the connections stand, as an operator sees it. The names are those of the database. */
export type ShownStatistics = Readonly<Record<string, unknown>> & {
  readonly schema_version: number;
  /** Seconds for which nobody may call Spotify; null: anybody may. */
  readonly not_before_in: number | null;
  /** Connections whose grant lives. */
  readonly connected: number;
  readonly implausible_expiries: number;
  readonly shared_tokens: number;
  /** Null: no sweep has come to its end yet. */
  readonly seconds_since_last_sweep: number | null;
};

/** What operators do to connections. Rejects with a StoreError or SecretError. */
export interface ConnectionAdministration {
  show(userId: string): Promise<ShownConnection>;
  statistics(): Promise<ShownStatistics>;
  /**
   * Undoes up to so many of the marks made since a moment (ISO 8601), as long as the tokens are still there; answers how
   * many.
   */
  restore(since: string, batchSize: number): Promise<number>;
}
