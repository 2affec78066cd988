import { randomUUID } from 'node:crypto';
import type { Clock } from '../../../lambda/connection/clock.ts';
import {
  type ClaimedBatch,
  type ClaimRequest,
  type ConnectionCheck,
  type ConnectionStore,
  type Recorded,
  type Refusal,
  StoreError,
  type Verdict,
} from '../../../lambda/connection/connection-store.ts';
import type { Lease } from '../../../lambda/connection/lease.ts';
import type { RefreshOutcome, SettledLease } from '../../../lambda/connection/refresh-outcome.ts';

/** A stored connection. Moments are milliseconds of the clock. */
export type StoredConnection = {
  readonly userId: string;
  accessToken: string | null;
  refreshToken: string;
  expiresAt: number | null;
  leaseId: string | null;
  /** Until then nobody may take a lease. */
  claimableAt: number;
  refreshedAt: number;
  failures: number;
  dead: boolean;
  /** Refused by Spotify, and not believed. */
  held: boolean;
  /** Bondhu's schema takes no tokens for this one. */
  refusesTokens: boolean;
  settledLeaseId: string | null;
  /** Somebody has the row locked: it can be neither leased nor recorded. */
  locked: boolean;
};

const ROUND_TRIP_MILLISECONDS = 5;
const EPOCH = Date.UTC(2026, 10, 24, 12);

/** The rules of `supabase/migrations` in memory, by the clock's time; can be told to fail. */
export class InMemoryConnectionStore implements ConnectionStore {
  /** What was called, in order. */
  readonly calls: (keyof ConnectionStore)[] = [];
  /** Every lease that was handed out, by its id. */
  readonly leases = new Map<string, Lease>();
  /** Every outcome that was given to `record` and answered, in order. */
  readonly recorded: { readonly settled: SettledLease; readonly verdict: Verdict }[] = [];
  /** Runs before each call, in the test's hands: throws, or changes something at the worst moment. */
  beforeEach: (method: keyof ConnectionStore) => void = () => {};
  /** Pages that `reconcile` needs, and the grants that `clearDeadGrants` clears. */
  pagesToReconcile = 1;
  grantsToClear = 0;
  /** What is said to be revoked is held instead of marked. */
  breakerIsOpen = false;
  /** Nobody calls Spotify before this moment. */
  notBefore = 0;
  /** From where each claim was to go on. */
  readonly dueFrom: (string | null)[] = [];
  #callsReservedUntil = 0;
  readonly #clock: Clock;
  readonly #connections = new Map<string, StoredConnection>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Stores a connection as Bondhu's backend does, whatever was there. Without an expiry it is due at once. */
  connect(userId: string, expiresInSeconds: number | null, changes: Partial<StoredConnection> = {}): void {
    this.#connections.set(userId, {
      userId,
      accessToken: `access-token-of-${userId}`,
      refreshToken: `refresh-token-of-${userId}`,
      expiresAt: expiresInSeconds === null ? null : this.#now() + expiresInSeconds * 1_000,
      leaseId: null,
      claimableAt: 0,
      refreshedAt: Number.NEGATIVE_INFINITY,
      failures: 0,
      dead: false,
      held: false,
      refusesTokens: false,
      settledLeaseId: null,
      locked: false,
      ...changes,
    });
  }

  disconnect(userId: string): void {
    this.#connections.delete(userId);
  }

  /** Somebody else takes a lease. */
  hold(userId: string, seconds: number): void {
    Object.assign(this.connection(userId), {
      leaseId: randomUUID(),
      claimableAt: this.#now() + seconds * 1_000,
    });
  }

  connection(userId: string): StoredConnection {
    const connection = this.#connections.get(userId);
    if (connection === undefined) {
      throw new Error(`the test never connected ${userId}`);
    }
    return connection;
  }

  connections(): StoredConnection[] {
    return [...this.#connections.values()];
  }

  secondsLeft(userId: string): number | null {
    const { expiresAt } = this.connection(userId);
    return expiresAt === null ? null : (expiresAt - this.#now()) / 1_000;
  }

  /** How often an outcome was applied, by lease id. */
  applied(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { settled, verdict } of this.recorded) {
      if (verdict === 'applied') {
        counts.set(settled.lease.leaseId, (counts.get(settled.lease.leaseId) ?? 0) + 1);
      }
    }
    return counts;
  }

  async check(
    userId: string,
    refreshWithinSeconds: number,
    leaseSeconds: number,
    timeoutMilliseconds: number,
  ): Promise<ConnectionCheck> {
    const askedAt = this.#now();
    await this.#roundTrip('check', timeoutMilliseconds);
    const connection = this.#connections.get(userId);
    if (connection === undefined) {
      return { state: 'disconnected' };
    }
    const { expiresAt, claimableAt } = connection;
    const details = {
      spotifyUserId: `spotify-of-${userId}`,
      spotifyUserEmail: `${userId}@example.com`,
      connectedAt: new Date(EPOCH).toISOString(),
      expiresAt: expiresAt === null ? null : new Date(EPOCH + expiresAt).toISOString(),
      reauthorizeBy: new Date(EPOCH + 180 * 86_400_000).toISOString(),
      secondsLeft: this.secondsLeft(userId),
    };
    const notBeforeInSeconds = this.#notBeforeInSeconds();
    const retryInSeconds = Math.max(0, (claimableAt - this.#now()) / 1_000, notBeforeInSeconds ?? 0);
    if (connection.dead) {
      return { state: 'reauthorization_required', details };
    }
    if (!this.#expiresWithin(connection, refreshWithinSeconds)) {
      return { state: 'connected', details };
    }
    if (connection.locked) {
      return { state: 'busy', details: null, retryInSeconds: 0, isRefused: false };
    }
    if (notBeforeInSeconds !== null) {
      return { state: 'backing_off', details, retryInSeconds, isRefused: false };
    }
    if (claimableAt <= this.#now()) {
      return { state: 'leased', details, lease: this.#lease(connection, leaseSeconds, askedAt) };
    }
    return connection.leaseId === null
      ? { state: 'backing_off', details, retryInSeconds, isRefused: connection.held }
      : { state: 'busy', details, retryInSeconds, isRefused: false };
  }

  async claimDue(request: ClaimRequest, timeoutMilliseconds: number): Promise<ClaimedBatch> {
    const askedAt = this.#now();
    await this.#roundTrip('claimDue', timeoutMilliseconds);
    const notBeforeInSeconds = this.#notBeforeInSeconds();
    if (notBeforeInSeconds !== null) {
      return {
        leases: [],
        nextClaimInSeconds: null,
        callsStartInSeconds: 0,
        dueUpTo: null,
        notBeforeInSeconds,
      };
    }
    const tooEarlyBySeconds = this.#tooEarlyBySeconds(request);
    if (tooEarlyBySeconds > 0) {
      return {
        leases: [],
        nextClaimInSeconds: tooEarlyBySeconds,
        callsStartInSeconds: 0,
        dueUpTo: null,
        notBeforeInSeconds,
      };
    }
    this.dueFrom.push(request.dueFrom);
    const sweepBeganAt = this.#now() - request.sweepAgeSeconds * 1_000;
    const due = this.#due(request.refreshWithinSeconds).filter(
      (connection) => connection.refreshedAt < sweepBeganAt,
    );
    const leases = due
      .filter((connection) => !connection.locked && connection.claimableAt <= this.#now())
      .sort((one, other) => (one.expiresAt ?? 0) - (other.expiresAt ?? 0))
      .slice(0, request.batchSize)
      .map((connection) => this.#lease(connection, request.leaseSeconds, askedAt));
    const mine = new Set(leases.map((lease) => lease.userId));
    const waits = due
      .filter((connection) => !mine.has(connection.userId) && connection.claimableAt > this.#now())
      .map((connection) => (connection.claimableAt - this.#now()) / 1_000);
    const nextClaimInSeconds =
      leases.length === request.batchSize || waits.length === 0 ? null : Math.min(...waits);
    return {
      leases,
      nextClaimInSeconds,
      callsStartInSeconds: this.#reserveCalls(leases.length, request.callsPerSecond),
      dueUpTo: leases.length === request.batchSize ? `after-${leases.at(-1)?.userId}` : null,
      notBeforeInSeconds,
    };
  }

  async record(settled: readonly SettledLease[], timeoutMilliseconds: number): Promise<Recorded> {
    await this.#roundTrip('record', timeoutMilliseconds);
    if (new Set(settled.map(({ lease }) => lease.userId)).size < settled.length) {
      throw new StoreError('STORE_REFUSED', 'two results for one user');
    }
    const verdicts = new Map<string, Verdict>();
    for (const each of settled) {
      const verdict = this.#judge(each);
      if (verdict === 'refused') {
        this.#refuse(this.connection(each.lease.userId));
      } else if (verdict === 'applied' || verdict === 'held') {
        this.#apply(this.connection(each.lease.userId), each);
      }
      this.#waitFor(each.outcome);
      this.recorded.push({ settled: each, verdict });
      verdicts.set(each.lease.leaseId, verdict);
    }
    return {
      verdicts,
      refusals: settled.flatMap(({ lease }) =>
        verdicts.get(lease.leaseId) === 'refused'
          ? [{ userId: lease.userId, code: '23514', constraint: 'bondhus_own' }]
          : [],
      ),
      notBeforeInSeconds: this.#notBeforeInSeconds(),
      breakerIsOpen: this.breakerIsOpen,
    };
  }

  async countDue(refreshWithinSeconds: number, timeoutMilliseconds: number): Promise<number> {
    await this.#roundTrip('countDue', timeoutMilliseconds);
    return this.#due(refreshWithinSeconds).length;
  }

  async reconcile(
    _batchSize: number,
    timeoutMilliseconds: number,
  ): Promise<{ healed: number; done: boolean }> {
    await this.#roundTrip('reconcile', timeoutMilliseconds);
    this.pagesToReconcile -= 1;
    return { healed: 0, done: this.pagesToReconcile <= 0 };
  }

  async clearDeadGrants(
    _graceSeconds: number,
    batchSize: number,
    timeoutMilliseconds: number,
  ): Promise<{ cleared: number; refusals: Refusal[]; done: boolean }> {
    await this.#roundTrip('clearDeadGrants', timeoutMilliseconds);
    const cleared = Math.min(batchSize, this.grantsToClear);
    this.grantsToClear -= cleared;
    return { cleared, refusals: [], done: cleared < batchSize };
  }

  #judge({ lease, outcome }: SettledLease): Verdict {
    const connection = this.#connections.get(lease.userId);
    if (connection === undefined) {
      return 'stale';
    }
    if (connection.locked) {
      return 'busy';
    }
    if (connection.settledLeaseId === lease.leaseId) {
      return 'already_applied';
    }
    const tokenIsStored = connection.refreshToken === lease.refreshToken;
    const rotated = 'refreshToken' in outcome && outcome.refreshToken !== undefined;
    const holdsLease = connection.leaseId === lease.leaseId && (outcome.kind !== 'revoked' || tokenIsStored);
    if (!(rotated && tokenIsStored) && !holdsLease) {
      return 'stale';
    }
    if (connection.refusesTokens && (outcome.kind === 'refreshed' || outcome.kind === 'refresh_token_only')) {
      return 'refused';
    }
    return outcome.kind === 'revoked' && this.breakerIsOpen ? 'held' : 'applied';
  }

  #waitFor(outcome: RefreshOutcome): void {
    const seconds =
      outcome.kind === 'throttled' ? outcome.retryAfterSeconds : outcome.kind === 'client_rejected' ? 60 : 0;
    this.notBefore = Math.max(this.notBefore, this.#now() + seconds * 1_000);
  }

  /** For how long calls of a batch might still not be due in the first half of their leases. */
  #tooEarlyBySeconds({ batchSize, leaseSeconds, callsPerSecond }: ClaimRequest): number {
    if (callsPerSecond === null) {
      return 0;
    }
    const startsInSeconds = Math.max(0, this.#callsReservedUntil - this.#now()) / 1_000;
    return startsInSeconds + batchSize / callsPerSecond - leaseSeconds / 2;
  }

  #reserveCalls(calls: number, callsPerSecond: number | null): number {
    if (callsPerSecond === null) {
      return 0;
    }
    const start = Math.max(this.#callsReservedUntil, this.#now());
    this.#callsReservedUntil = start + (calls / callsPerSecond) * 1_000;
    return (start - this.#now()) / 1_000;
  }

  #notBeforeInSeconds(): number | null {
    return this.notBefore > this.#now() ? (this.notBefore - this.#now()) / 1_000 : null;
  }

  #refuse(connection: StoredConnection): void {
    connection.leaseId = null;
    connection.failures += 1;
    connection.claimableAt = this.#now() + 30_000;
  }

  #apply(connection: StoredConnection, { lease, outcome }: SettledLease): void {
    connection.leaseId = null;
    connection.settledLeaseId = lease.leaseId;
    connection.claimableAt =
      'retryAfterSeconds' in outcome ? this.#now() + outcome.retryAfterSeconds * 1_000 : 0;
    connection.failures = failuresAfter(outcome, connection.failures);
    connection.dead = outcome.kind === 'revoked' && !this.breakerIsOpen;
    connection.held = outcome.kind === 'revoked' && this.breakerIsOpen;
    if ('refreshToken' in outcome) {
      connection.refreshToken = outcome.refreshToken ?? connection.refreshToken;
    }
    if (outcome.kind === 'refreshed') {
      connection.accessToken = outcome.accessToken;
      connection.expiresAt = Number(lease.leasedAt) + outcome.expiresInSeconds * 1_000;
      connection.refreshedAt = this.#now();
    }
  }

  #lease(connection: StoredConnection, leaseSeconds: number, askedAt: number): Lease {
    connection.leaseId = randomUUID();
    connection.claimableAt = this.#now() + leaseSeconds * 1_000;
    const lease = {
      userId: connection.userId,
      leaseId: connection.leaseId,
      leasedAt: String(this.#now()),
      refreshToken: connection.refreshToken,
      secondsLeft: this.secondsLeft(connection.userId),
      failures: connection.failures,
      lapsesAt: askedAt + leaseSeconds * 1_000,
    };
    this.leases.set(lease.leaseId, lease);
    return lease;
  }

  #due(withinSeconds: number): StoredConnection[] {
    return this.connections().filter(
      (connection) => !connection.dead && this.#expiresWithin(connection, withinSeconds),
    );
  }

  #expiresWithin({ expiresAt }: StoredConnection, seconds: number): boolean {
    return expiresAt === null || expiresAt <= this.#now() + seconds * 1_000;
  }

  async #roundTrip(method: keyof ConnectionStore, timeoutMilliseconds: number): Promise<void> {
    this.calls.push(method);
    await this.#clock.sleep(Math.min(ROUND_TRIP_MILLISECONDS, timeoutMilliseconds));
    if (timeoutMilliseconds < ROUND_TRIP_MILLISECONDS) {
      throw new StoreError('STORE_UNAVAILABLE', `${method} did not answer in time`);
    }
    this.beforeEach(method);
  }

  #now(): number {
    return this.#clock.monotonicMilliseconds();
  }
}

function failuresAfter(outcome: RefreshOutcome, failures: number): number {
  switch (outcome.kind) {
    case 'refreshed':
      return 0;
    case 'refresh_token_only':
    case 'unavailable':
    case 'rejected':
      return failures + 1;
    default:
      return failures;
  }
}
