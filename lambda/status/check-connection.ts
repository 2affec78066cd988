import { type Clock, millisecondsUntil } from '../connection/clock.ts';
import type { ConnectionCheck, ConnectionDetails } from '../connection/connection-store.ts';
import type { ExchangePolicy } from '../connection/exchange.ts';
import {
  type Refresh,
  type RefreshDependencies,
  refreshConnection,
} from '../connection/refresh-connection.ts';

/** Outlasts one request with all its calls and its write, and lapses soon if the function dies. */
const LEASE_SECONDS = 15;

const POLICY: ExchangePolicy = { attempts: 3, callTimeoutMilliseconds: 4_000 };

const CHECK_TIMEOUT_MILLISECONDS = 3_000;

/** Interval of checking a connection that another process is refreshing. */
const POLL_INTERVAL_MILLISECONDS = 200;

/** Reserved for one last check when waiting ends. */
const CHECK_RESERVE_MILLISECONDS = 500;

/** How long a request waits for another process's refresh while the old token still works. */
const PATIENCE_MILLISECONDS = 4_000;

const LEAST_RETRY_AFTER_SECONDS = 1;

/** Used if nothing is known about the connection, because Spotify rejected us or the database was lost meanwhile. */
const UNSETTLED_RETRY_SECONDS = 10;

/** The state of a user's connection, for the answer of the status call. */
export type ConnectionStatus =
  | {
      readonly kind: 'connected';
      readonly details: ConnectionDetails;
      /** This request refreshed the token. */
      readonly autoRefreshed: boolean;
      /** The token still works, but a refresh was due and failed. */
      readonly degraded: boolean;
    }
  | { readonly kind: 'not_connected' }
  /** The grant is dead: the user has to reconnect. */
  | { readonly kind: 'reauthorization_required' }
  /** The token has expired and could not be refreshed for now. */
  | {
      readonly kind: 'refresh_failed';
      /** Null: nothing is known, because the row is locked. */
      readonly details: ConnectionDetails | null;
      readonly retryAfterSeconds: number;
      /** Spotify says that the grant is dead, which is not believed yet. */
      readonly isRevoked: boolean;
    };

/** What the use case works with. */
export type CheckConnectionDependencies = RefreshDependencies & {
  /** A token with less time left than this, in seconds, is refreshed. */
  readonly refreshMarginSeconds: number;
};

/**
 * Says whether a user is connected. Refreshes a token that is about to expire before it answers, at most once: for half a
 * minute after an attempt the database hands out no other lease.
 *
 * Every answer comes from the database: after a refresh, its own or another process's, it reads the connection
 * again. A token that is not due costs one database call.
 *
 * @param deadline a time of the monotonic clock by which to answer
 * @returns the state; rejects with a StoreError or SecretError if the state cannot be found out
 */
export async function checkConnection(
  userId: string,
  deadline: number,
  dependencies: CheckConnectionDependencies,
): Promise<ConnectionStatus> {
  const { store, clock, refreshMarginSeconds } = dependencies;
  const endOfPatience = clock.monotonicMilliseconds() + PATIENCE_MILLISECONDS;
  let progress: Progress | null = null;
  for (;;) {
    const autoRefreshed = progress === 'refreshed';
    const timeoutMilliseconds = Math.min(CHECK_TIMEOUT_MILLISECONDS, millisecondsUntil(clock, deadline));
    const check = await store.check(userId, refreshMarginSeconds, LEASE_SECONDS, timeoutMilliseconds);
    if (check.state === 'leased') {
      progress = toProgress(await refreshConnection(check.lease, POLICY, deadline, dependencies));
      if (progress === 'unsettled') {
        return toStatusWithoutRefresh(check.details, UNSETTLED_RETRY_SECONDS, false);
      }
    } else if (check.state === 'busy' && canWait(check, endOfPatience, deadline, clock)) {
      await clock.sleep(POLL_INTERVAL_MILLISECONDS);
    } else {
      return toStatus(check, autoRefreshed);
    }
  }
}

/**
 * `refreshed`: a new token is stored. `settled`: the database knows what happened, ask it. `unsettled`: nothing
 * was recorded about the connection, and asking again would only repeat the attempt.
 */
type Progress = 'refreshed' | 'settled' | 'unsettled';

function toProgress({ outcome, verdict }: Refresh): Progress {
  if (verdict === 'stale') {
    return 'settled';
  }
  if (verdict === 'unsettled' || outcome.kind === 'released') {
    return 'unsettled';
  }
  return outcome.kind === 'refreshed' && verdict !== 'refused' ? 'refreshed' : 'settled';
}

/** While the old token still works, no request waits long for a new one. */
function canWait(
  check: Extract<ConnectionCheck, { state: 'busy' }>,
  endOfPatience: number,
  deadline: number,
  clock: Clock,
): boolean {
  const waitUntil = stillWorks(check.details) ? Math.min(endOfPatience, deadline) : deadline;
  return millisecondsUntil(clock, waitUntil) > POLL_INTERVAL_MILLISECONDS + CHECK_RESERVE_MILLISECONDS;
}

function toStatus(
  check: Exclude<ConnectionCheck, { state: 'leased' }>,
  autoRefreshed: boolean,
): ConnectionStatus {
  switch (check.state) {
    case 'disconnected':
      return { kind: 'not_connected' };
    case 'connected':
      return { kind: 'connected', details: check.details, autoRefreshed, degraded: false };
    case 'reauthorization_required':
      return stillWorks(check.details)
        ? { kind: 'connected', details: check.details, autoRefreshed: false, degraded: true }
        : { kind: 'reauthorization_required' };
    case 'busy':
    case 'backing_off':
      return toStatusWithoutRefresh(check.details, check.retryInSeconds, check.isRevoked);
  }
}

function toStatusWithoutRefresh(
  details: ConnectionDetails | null,
  retryInSeconds: number,
  isRevoked: boolean,
): ConnectionStatus {
  return stillWorks(details)
    ? { kind: 'connected', details, autoRefreshed: false, degraded: true }
    : {
        kind: 'refresh_failed',
        details,
        retryAfterSeconds: Math.max(LEAST_RETRY_AFTER_SECONDS, Math.ceil(retryInSeconds)),
        isRevoked,
      };
}

function stillWorks(details: ConnectionDetails | null): details is ConnectionDetails {
  return (details?.secondsLeft ?? 0) > 0;
}
