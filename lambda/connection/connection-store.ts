import type { Lease } from './lease.ts';
import { OperationalError } from './operational-error.ts';
import type { SettledLease } from './refresh-outcome.ts';

/** What the owner of a connection may see of it. Times are ISO 8601 in UTC. */
export type ConnectionDetails = {
  readonly spotifyUserId: string | null;
  readonly spotifyUserEmail: string | null;
  readonly connectedAt: string | null;
  readonly expiresAt: string | null;
  /** When Spotify's six-month limit ends the grant, as far as it can be known. */
  readonly reauthorizeBy: string | null;
  /** Seconds until the stored access token runs out, negative after that; null when there is none. */
  readonly secondsLeft: number | null;
};

/** The state of one connection at the moment the database was asked. */
export type ConnectionCheck =
  | { readonly state: 'disconnected' }
  | { readonly state: 'connected'; readonly details: ConnectionDetails }
  /** Due, and ours to refresh. */
  | { readonly state: 'leased'; readonly details: ConnectionDetails; readonly lease: Lease }
  /** Due, and somebody else is refreshing it, or asking again whether its grant is dead. */
  | {
      readonly state: 'busy';
      readonly details: ConnectionDetails | null;
      readonly retryInSeconds: number;
      /** Spotify said last that the grant is dead. */
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

/** What recording an outcome did, or that it is not known: the deadline came first. */
export type RecordedVerdict = Verdict | 'unsettled';

/**
 * What recording an outcome did: `applied`; `held` (a revocation that is not believed yet); `confirmed` (one that was
 * known); `refused` (Bondhu's schema does not take the tokens); `already_applied` (the call was repeated); `stale` (the
 * lease is over, nothing changed); `busy` (somebody has a row locked: record it again).
 */
export type Verdict = 'applied' | 'held' | 'confirmed' | 'refused' | 'already_applied' | 'stale' | 'busy';

/** What Bondhu's schema did not take for one user, a constraint or a trigger of it. */
export type Refusal = {
  readonly userId: string;
  /** The SQLSTATE; `02000`: a trigger dropped the write without a word. */
  readonly code: string;
  /** Null: it was none that has a name. */
  readonly constraint: string | null;
};

/** What holds for everybody who refreshes connections, as of one call to the database. */
export type SharedState = {
  /** Seconds for which nobody may call Spotify; null: anybody may. */
  readonly notBeforeInSeconds: number | null;
  /** So many grants are said to be dead that it is not believed. */
  readonly breakerIsOpen: boolean;
};

/** What became of a batch of outcomes. */
export type Recorded = SharedState & {
  /** By lease id. */
  readonly verdicts: ReadonlyMap<string, Verdict>;
  /** One for each verdict `refused`. */
  readonly refusals: readonly Refusal[];
};

/** The claims of one batch. */
export type ClaimedBatch = Pick<SharedState, 'notBeforeInSeconds'> & {
  readonly leases: readonly Lease[];
  /** Seconds until a connection becomes free that others have leased and that is due; null: none will. */
  readonly nextClaimInSeconds: number | null;
  /** Where there is a ceiling on calls: seconds until the first call of this batch is due. Otherwise 0. */
  readonly callsStartInSeconds: number;
  /** From where the next claim of this sweep goes on; null: from the beginning, for this batch was not full. */
  readonly dueUpTo: string | null;
};

/** How a claim chooses. */
export type ClaimRequest = {
  readonly batchSize: number;
  readonly refreshWithinSeconds: number;
  readonly leaseSeconds: number;
  /** Time since the sweep began: what was refreshed since then is not claimed again. */
  readonly sweepAgeSeconds: number;
  /** Calls to Spotify that all who claim may start in a second, together; null: no ceiling. */
  readonly callsPerSecond: number | null;
  /** Where the sweep's last claim ended; null: it was the first, or came back with less than asked for. */
  readonly dueFrom: string | null;
};

/**
 * The stored connections. Every method is one call to the database and rejects with a {@link StoreError} when it
 * could not be made, or with a SecretError when the key for it cannot be read; `timeoutMilliseconds` bounds it.
 */
export interface ConnectionStore {
  /**
   * Reads one connection and, if it expires within the given time and is free, takes a lease on it; for 30 seconds after
   * a refresh it takes none. Null: takes one whenever the connection is free.
   */
  check(
    userId: string,
    refreshWithinSeconds: number | null,
    leaseSeconds: number,
    timeoutMilliseconds: number,
  ): Promise<ConnectionCheck>;
  /** Takes leases on due connections, soonest expiry first. */
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
 * Why the database did not do what it was asked.
 *
 * - `STORE_UNAVAILABLE`: not reached, or it failed for now. Worth repeating.
 * - `MIGRATION_MISSING`: it does not know the function.
 * - `SCHEMA_NOT_EXPOSED`: its REST API does not serve the schema that the functions are in.
 * - `PROFILES_HIDDEN`: row level security keeps profiles from the functions' owner, so they would miss users.
 * - `KEY_REJECTED`: it refuses the key in the secret, a freshly read one included.
 * - `STORE_REFUSED`: it refuses the request itself. A defect; repeating does not help.
 * - `STORE_ANSWER_UNEXPECTED`: it did something and answered with what this code does not understand, as one of another
 *   version does. Repeating does not help.
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
