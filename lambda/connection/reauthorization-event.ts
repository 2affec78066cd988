/** What other teams are told of a connection, so that they can tell its user. */
export type ReauthorizationEvent = {
  /** The same whenever the same event is sent again: consumers drop what they have seen. */
  readonly id: string;
  readonly userId: string;
} & (
  | {
      /** The grant is dead: the user has to authorize again. */
      readonly kind: 'required';
      /** When it was marked dead. */
      readonly since: string;
      readonly reason: 'grant_revoked' | 'no_refresh_token';
    }
  | {
      /** Spotify's six-month limit will end the grant. */
      readonly kind: 'due';
      /** When the user authorized. */
      readonly connectedAt: string;
      readonly reauthorizeBy: string;
      /** At most so many days are left: 30, 7 or 1. */
      readonly days: number;
    }
);

/** Which events have to be sent, and which have been. Rejects with a StoreError or SecretError. */
export interface ReauthorizationEventStore {
  /** Up to so many that have not been sent; times are as the database wrote them. */
  pending(batchSize: number, timeoutMilliseconds: number): Promise<readonly ReauthorizationEvent[]>;
  /** Remembers that these were sent; answers for how many it could. The others are pending again. */
  recordSent(events: readonly ReauthorizationEvent[], timeoutMilliseconds: number): Promise<number>;
}

/** The bus that other teams listen to. */
export interface EventBus {
  /** Sends events, each at least once. Never rejects for what the bus does. */
  send(events: readonly ReauthorizationEvent[]): Promise<SentEvents>;
}

/** What the bus took, and why it did not take the rest; null: it took all. */
export type SentEvents = { readonly taken: readonly ReauthorizationEvent[]; readonly failure: string | null };
