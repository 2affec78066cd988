/** An event about a connection for other teams, so that they can tell its user. */
export type ReauthorizationEvent = {
  /** The same each time the event is sent: consumers drop duplicates. */
  readonly id: string;
  readonly userId: string;
} & (
  | {
      /** The grant is dead: the user has to reconnect. */
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
      /** At most this many days are left: 30, 7 or 1. */
      readonly days: number;
    }
);

/** The pending events, and the record of sent ones. Rejects with a StoreError or SecretError. */
export interface ReauthorizationEventStore {
  /** Pending events, up to `batchSize`; times are as the database wrote them. */
  pending(batchSize: number, timeoutMilliseconds: number): Promise<readonly ReauthorizationEvent[]>;
  /** Records these as sent; returns for how many it could. The others stay pending. */
  recordSent(events: readonly ReauthorizationEvent[], timeoutMilliseconds: number): Promise<number>;
}

/** The bus for events to other teams. */
export interface EventBus {
  /** Sends events, each at least once. Never rejects because of the bus. */
  send(events: readonly ReauthorizationEvent[]): Promise<SentEvents>;
}

/** The events that the bus accepted, and why it rejected the rest; null: it accepted all. */
export type SentEvents = { readonly taken: readonly ReauthorizationEvent[]; readonly failure: string | null };
