/** What other teams are told of a connection, so that they can tell its user. */
export type Notice = {
  /** The same whenever the same notice is sent again: consumers drop what they have seen. */
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

/** Which notices have to be sent, and which have been. Rejects with a StoreError or SecretError. */
export interface NoticeStore {
  /** Up to so many that have not been sent; times are as the database wrote them. */
  pending(batchSize: number, timeoutMilliseconds: number): Promise<readonly Notice[]>;
  /** Remembers that these were sent; answers for how many it could. The others are pending again. */
  recordSent(notices: readonly Notice[], timeoutMilliseconds: number): Promise<number>;
}

/** The bus that other teams listen to. */
export interface NoticeBus {
  /** Sends notices, each at least once. Never rejects for what the bus does. */
  send(notices: readonly Notice[]): Promise<SentNotices>;
}

/** What the bus took, and why it did not take the rest; null: it took all. */
export type SentNotices = { readonly taken: readonly Notice[]; readonly failure: string | null };
