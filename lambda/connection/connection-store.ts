import type { Lease } from './lease.ts';
import { OperationalError } from './operational-error.ts';
import type { SettledLease } from './refresh-outcome.ts';

/** The part of a connection that its owner may see. Times are ISO 8601 in UTC. */
export type ConnectionDetails = {
  readonly spotifyUserId: string | null;
  readonly spotifyUserEmail: string | null;
  readonly connectedAt: string | null;
  readonly expiresAt: string | null;
  /** When Spotify's six-month limit ends the grant, as far as it can be known. */
  readonly reauthorizeBy: string | null;
  /** Seconds until the stored access token expires, negative after that; null if there is none. */
  readonly secondsLeft: number | null;
};

/** The state of one connection when the database was asked. */
export type ConnectionCheck =
  | { readonly state: 'disconnected' }
  | { readonly state: 'connected'; readonly details: ConnectionDetails }
  /** Due, and ours to refresh. */
  | { readonly state: 'leased'; readonly details: ConnectionDetails; readonly lease: Lease }
  /** Due, and another process is refreshing it, or asking again whether its grant is dead. */
  | {
      readonly state: 'busy';
      readonly details: ConnectionDetails | null;
      readonly retryInSeconds: number;
      /** Spotify's last answer called the grant dead. */
      readonly isRevoked: boolean;
    }
  /** Due, but a refresh failed a moment ago. */
  | {
      readonly state: 'backing_off';
      readonly details: ConnectionDetails;
      readonly retryInSeconds: number;
      /** Spotify says that the grant is dead, which is not believed yet. */
      readonly isRevoked: boolean;
    }
  | { readonly state: 'reauthorization_required'; readonly details: ConnectionDetails };

/** The result of recording an outcome, or that it is not known because the deadline came first. */
export type RecordedVerdict = Verdict | 'unsettled';

/**
 * The result of recording an outcome: `applied`; `held` (a revocation that is not believed yet); `confirmed` (one that was
 * known); `refused` (Bondhu's schema rejects the tokens); `already_applied` (the call was repeated); `stale` (the
 * lease is over, nothing changed); `busy` (a row is locked: record it again).
 */
export type Verdict = 'applied' | 'held' | 'confirmed' | 'refused' | 'already_applied' | 'stale' | 'busy';

/** The constraint or trigger of Bondhu's that rejected one user's tokens. */
export type Refusal = {
  readonly userId: string;
  /** The SQLSTATE; `02000`: a trigger silently dropped the write. */
  readonly code: string;
  /** Null: it has no name. */
  readonly constraint: string | null;
};

/** State that all processes share, as of one call to the database. */
export type SharedState = {
  /** Seconds until a function may call Spotify; null: it may call now. */
  readonly notBeforeInSeconds: number | null;
  /** Spotify calls so many grants dead that it is not believed. */
  readonly breakerIsOpen: boolean;
};

/** The results of a batch of outcomes. */
export type Recorded = SharedState & {
  /** By lease id. */
  readonly verdicts: ReadonlyMap<string, Verdict>;
  /** One for each verdict `refused`. */
  readonly refusals: readonly Refusal[];
};

/** The claims of one batch. */
export type ClaimedBatch = Pick<SharedState, 'notBeforeInSeconds'> & {
  readonly leases: readonly Lease[];
  /** Seconds until a due connection that is leased elsewhere becomes free; null: none will. */
  readonly nextClaimInSeconds: number | null;
  /** If calls are limited: seconds until the first call of this batch is due. Otherwise 0. */
  readonly callsStartInSeconds: number;
  /** Where the next claim of this sweep continues; null: from the beginning, because this batch was not full. */
  readonly dueUpTo: string | null;
};

/** How a claim chooses. */
export type ClaimRequest = {
  readonly batchSize: number;
  readonly refreshWithinSeconds: number;
  readonly leaseSeconds: number;
  /** Time since the sweep began: connections refreshed since then are not claimed again. */
  readonly sweepAgeSeconds: number;
  /** Calls to Spotify per second, across all claims; null: no limit. */
  readonly callsPerSecond: number | null;
  /** Where the sweep's last claim ended; null: it was the first, or its batch was not full. */
  readonly dueFrom: string | null;
};

/**
 * The stored connections. Every method is one call to the database. It rejects with a {@link StoreError} if the call
 * failed, or with a SecretError if its key cannot be read; `timeoutMilliseconds` limits it.
 */
export interface ConnectionStore {
  /**
   * Reads one connection and takes a lease on it, if it expires within the given time and is free, but not for 30 seconds
   * after a refresh. Null: takes one whenever the connection is free.
   */
  check(
    userId: string,
    refreshWithinSeconds: number | null,
    leaseSeconds: number,
    timeoutMilliseconds: number,
  ): Promise<ConnectionCheck>;
  /** Takes leases on due connections, earliest expiry first. */
  claimDue(request: ClaimRequest, timeoutMilliseconds: number): Promise<ClaimedBatch>;
  /** Applies outcomes, at most one per user. Safe to repeat. */
  record(settled: readonly SettledLease[], timeoutMilliseconds: number): Promise<Recorded>;
  /** How many living connections expire within the given time. */
  countDue(refreshWithinSeconds: number, timeoutMilliseconds: number): Promise<number>;
  /** Brings the next page of the queue in step with the profiles; `done` when that is enough for one sweep. */
  reconcile(
    batchSize: number,
    timeoutMilliseconds: number,
  ): Promise<{ readonly healed: number; readonly done: boolean }>;
  /** Removes the tokens of grants that have been dead for longer than the grace period; `done` when none are left. */
  clearDeadGrants(
    graceSeconds: number,
    batchSize: number,
    timeoutMilliseconds: number,
  ): Promise<{ readonly cleared: number; readonly refusals: readonly Refusal[]; readonly done: boolean }>;
}

/**
 * Why a call to the database failed.
 *
 * - `STORE_UNAVAILABLE`: not reached, or it failed temporarily. Worth repeating.
 * - `MIGRATION_MISSING`: it does not know the function.
 * - `SCHEMA_NOT_EXPOSED`: its REST API does not expose the functions' schema.
 * - `PROFILES_HIDDEN`: row level security hides profiles from the functions' owner, so they would miss users.
 * - `KEY_REJECTED`: it rejects the key in the secret, even when read again.
 * - `STORE_REFUSED`: it rejects the request itself. A defect; repeating does not help.
 * - `STORE_ANSWER_UNEXPECTED`: it answered with something that this code does not understand, for example because it has
 *   another version. Repeating does not help.
 */
export type StoreErrorCode =
  | 'STORE_UNAVAILABLE'
  | 'MIGRATION_MISSING'
  | 'SCHEMA_NOT_EXPOSED'
  | 'PROFILES_HIDDEN'
  | 'KEY_REJECTED'
  | 'STORE_REFUSED'
  | 'STORE_ANSWER_UNEXPECTED';

/** A call to the connection store that failed; nothing was changed unless the code is `STORE_UNAVAILABLE` or
 * `STORE_ANSWER_UNEXPECTED`. */
export class StoreError extends OperationalError<StoreErrorCode> {
  override readonly name = 'StoreError';
}
