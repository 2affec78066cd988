/** All connections at one moment. */
export type ConnectionStatistics = {
  /** Connections whose grant lives. */
  readonly connected: number;
  /** Those of them whose token has run out. */
  readonly expired: number;
  /** Seconds since the first of these ran out; 0 when there is none. */
  readonly oldestOverdueSeconds: number;
  /** Connections that wait for their user to authorize again. */
  readonly reauthorizationRequired: number;
  /** Living connections that Spotify's six-month limit ends within 30 days. */
  readonly reauthorizationsDue: number;
  /** Connections whose last expiry from outside cannot be true: whoever writes it has a bug. */
  readonly implausibleExpiries: number;
  /** Connections whose refresh token another one has too. */
  readonly sharedTokens: number;
  /** Changes of profiles since the last sweep that did not reach the queue at once. */
  readonly missedProfileChanges: number;
  readonly breakerIsOpen: boolean;
  /** Nearly every grant is refused, as if the client's credentials were another app's. */
  readonly nearlyAllRefused: boolean;
};

/** Looks at all connections. Rejects with a StoreError or SecretError. */
export interface ConnectionMonitor {
  /** Remembers, if it could do its work, that a sweep is over; answers how the connections stand. */
  finishSweep(didItsWork: boolean): Promise<ConnectionStatistics>;
}
