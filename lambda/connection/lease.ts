/** The temporary right to refresh one connection. No function calls Spotify without one. */
export type Lease = {
  readonly userId: string;
  readonly leaseId: string;
  /** The database's time when the lease was taken, as it wrote it. Handed back with the outcome; interpreted in log lines alone. */
  readonly leasedAt: string;
  readonly refreshToken: string;
  /** Seconds until the stored access token expires; null if unknown. */
  readonly secondsLeft: number | null;
  /** Consecutive failed attempts before this one. */
  readonly failures: number;
  /**
   * When the lease lapses, by this process's monotonic clock. Counted from before the lease was asked for, so it
   * is never later than the database's own deadline.
   */
  readonly lapsesAt: number;
};

/** The part of a lease that goes back to the database with its outcome. */
export type LeaseReference = Pick<Lease, 'userId' | 'leaseId' | 'leasedAt' | 'refreshToken'>;
