import { randomUUID } from 'node:crypto';
import {
  type ClaimedBatch,
  type ClaimRequest,
  type ConnectionCheck,
  type ConnectionDetails,
  type Recorded,
  type Refusal,
  StoreError,
  type Verdict,
} from '../../../lambda/connection/connection-store.ts';
import type { Lease } from '../../../lambda/connection/lease.ts';
import type { SettledLease } from '../../../lambda/connection/refresh-outcome.ts';
import type { RevocationReason } from '../../../lambda/connection/token-endpoint.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Minimum time between two attempts, whatever is written or asked. */
const FLOOR = 30 * SECOND;
/** Marks that are younger are evidence of a mistake of Spotify's, and undone where it is one. */
const EVIDENCE_WINDOW = 30 * MINUTE;
/** The model's clock knows no date: this is the one that it starts at. */
const EPOCH = Date.UTC(2026, 10, 24, 12);

/** A profile and its queue row, by the names of their columns. Moments are milliseconds of the clock. */
export type Connection = {
  readonly userId: string;
  accessToken: string | null;
  refreshToken: string | null;
  /** The expiry as it stands in the profile; `expiresAt` is what of it is believed. */
  writtenExpiresAt: number | null;
  expiresAt: number | null;
  authorizedAt: number | null;
  implausibleExpiry: boolean;
  dueAt: number | null;
  claimableAt: number | null;
  leaseId: string | null;
  settledLeaseId: string | null;
  attemptedAt: number | null;
  refreshedAt: number | null;
  refreshes: number;
  failures: number;
  seenAlive: boolean;
  heldSince: number | null;
  revocationReason: RevocationReason | null;
  reauthorizationRequiredSince: number | null;
  reauthorizationReason: 'grant_revoked' | 'no_refresh_token' | null;
  markedAfterAll: boolean;
  verifyAt: number | null;
  tokensClearedAt: number | null;
  /** Its history, the newest last. */
  changes: readonly { readonly at: number; readonly change: Change }[];
};

/** What of a connection's history the connections themselves bring about: all but the events of which other teams are told. */
export type Change =
  | 'authorized'
  | 'reconnected'
  | 'incomplete'
  | 'refreshed'
  | 'held'
  | 'revoked'
  | 'recovered'
  | 'restored'
  | 'cleared'
  | 'disconnected'
  | 'refused';

/** What is written into a profile; what is left out stays as it is. */
export type Written = {
  readonly accessToken?: string | null;
  readonly refreshToken?: string | null;
  readonly expiresInSeconds?: number | null;
  readonly connectedSecondsAgo?: number | null;
};

/** A lease as the database knows it. */
type ModelLease = Omit<Lease, 'lapsesAt'>;
type ModelCheck =
  | Exclude<ConnectionCheck, { state: 'leased' }>
  | { readonly state: 'leased'; readonly details: ConnectionDetails; readonly lease: ModelLease };

/**
 * The rules of `supabase/migrations` again: what may be refreshed and when, what an outcome changes, and whether
 * Spotify is believed. Properties compare it with the SQL, so that the use cases can be tested on it.
 *
 * Left out, and tested on the SQL alone: connections that share a token; what reconciling heals, and what it and the end
 * of a sweep count; changes of a refresh token that bypass triggers, of which only fencing knows; writes that change
 * nothing; values that only an attacker writes; `dueFrom`, by which a claim spares itself what it has been through;
 * limits on how many rows one call undoes.
 */
export class ConnectionModel {
  /** The locked rows. */
  readonly lockedUsers = new Set<string>();
  /** Users whose tokens Bondhu's schema lets no one change. */
  readonly usersRefusingTokens = new Set<string>();
  readonly #connections = new Map<string, Connection>();
  readonly #refreshesByMinute = new Map<number, number>();
  readonly #readClock: () => number;
  #population = 0;
  #sweepWindow = 40 * MINUTE;
  #notBefore: number | null = null;
  #callsReservedUntil = Number.NEGATIVE_INFINITY;
  #breakerOpenedAt: number | null = null;
  #breakerClosedAt: number | null = null;

  /** @param readClock milliseconds of a clock that never jumps back */
  constructor(readClock: () => number) {
    this.#readClock = readClock;
    this.populate(1_000_000, 1_000_000);
  }

  /**
   * Says how many connections the breaker takes its shares of, and how many tokens were refreshed lately. At first so many
   * that a test about something else cannot open it.
   */
  populate(population: number, refreshes: number): void {
    this.#population = population;
    this.#refreshesByMinute.clear();
    this.#countRefreshes(refreshes);
  }

  get #now(): number {
    return this.#readClock();
  }

  connection(userId: string): Connection | undefined {
    return this.#connections.get(userId);
  }

  connections(): Connection[] {
    return [...this.#connections.values()];
  }

  // Writes from outside

  /** A write into a profile, by Bondhu or by its user. */
  write(userId: string, written: Written): void {
    const known = this.#connections.get(userId);
    const connection = known ?? neverConnected(userId);
    const { accessToken = connection.accessToken, refreshToken = connection.refreshToken } = written;
    if (known === undefined && accessToken === null && refreshToken === null) {
      return;
    }
    const old = known === undefined ? null : { ...known };
    this.#connections.set(userId, connection);
    connection.seenAlive &&= refreshToken === connection.refreshToken;
    connection.accessToken = accessToken;
    connection.refreshToken = refreshToken;
    const { expiresInSeconds, connectedSecondsAgo } = written;
    if (expiresInSeconds !== undefined) {
      connection.writtenExpiresAt = expiresInSeconds === null ? null : this.#in(expiresInSeconds);
    }
    if (connectedSecondsAgo !== undefined) {
      connection.authorizedAt = connectedSecondsAgo === null ? null : this.#in(-connectedSecondsAgo);
    }
    this.#follow(connection, old);
  }

  /**
   * Brings the queue row in step with the profile. A change from outside is proof of life.
   *
   * @param old as it was before the profile was written; null: there was none
   */
  #follow(connection: Connection, old: Connection | null): void {
    const { accessToken, refreshToken, attemptedAt } = connection;
    const hasNothingToRefreshWith = accessToken !== null && refreshToken === null;
    const expiresAt = this.#believedExpiry(connection);
    const dueAt = refreshToken === null ? null : (expiresAt ?? this.#now);
    const floorEndsAt = attemptedAt !== null && attemptedAt >= this.#now - FLOOR ? attemptedAt + FLOOR : null;
    Object.assign(connection, {
      expiresAt,
      implausibleExpiry: expiresAt === null && accessToken !== null && connection.writtenExpiresAt !== null,
      reauthorizationRequiredSince: hasNothingToRefreshWith ? this.#now : null,
      reauthorizationReason: hasNothingToRefreshWith ? 'no_refresh_token' : null,
      markedAfterAll: false,
      verifyAt: null,
      tokensClearedAt: null,
      heldSince: null,
      revocationReason: null,
      leaseId: null,
      failures: 0,
      refreshes:
        old === null || old.dueAt === null || old.authorizedAt !== connection.authorizedAt
          ? 0
          : connection.refreshes,
      claimableAt: floorEndsAt,
      dueAt:
        dueAt === null || floorEndsAt === null ? dueAt : Math.max(dueAt, floorEndsAt + this.#sweepWindow),
    } satisfies Partial<Connection>);
    this.#noteChange(old, connection);
  }

  /** Adds to the history of a connection what the difference to its former state means. */
  #noteChange(old: Connection | null, connection: Connection): void {
    const change = old === null ? this.#firstChange(connection) : changeBetween(old, connection);
    if (change !== null) this.#addChange(connection, change);
  }

  #addChange(connection: Connection, change: Change): void {
    connection.changes = [...connection.changes, { at: this.#now, change }];
  }

  /** A schema that refuses goes on doing so: the first refusal since the last success counts. */
  #noteRefusal(connection: Connection): void {
    const last = connection.changes.at(-1);
    const isKnown = last?.change === 'refused' && last.at >= (connection.refreshedAt ?? last.at);
    if (!isKnown) this.#addChange(connection, 'refused');
  }

  #firstChange({ reauthorizationReason, authorizedAt }: Connection): Change | null {
    if (reauthorizationReason !== null) return 'incomplete';
    return authorizedAt !== null && authorizedAt > this.#now - HOUR ? 'authorized' : null;
  }

  /** A token lives an hour: what is further away is not believed, unless this system computed it. */
  #believedExpiry({ accessToken, writtenExpiresAt, expiresAt }: Connection): number | null {
    if (accessToken === null || writtenExpiresAt === null) {
      return null;
    }
    const longest = writtenExpiresAt === expiresAt ? DAY + HOUR : 70 * MINUTE;
    return writtenExpiresAt <= this.#now + longest ? writtenExpiresAt : null;
  }

  // Leases

  check(userId: string, refreshWithinSeconds: number | null, leaseSeconds: number): ModelCheck {
    const connection = this.#connections.get(userId);
    if (connection === undefined) {
      return { state: 'disconnected' };
    }
    const isLocked = this.lockedUsers.has(userId);
    if (this.#believedExpiry(connection) !== connection.expiresAt) {
      if (isLocked) {
        return { state: 'busy', details: null, retryInSeconds: 0, isRevoked: false };
      }
      this.#follow(connection, { ...connection });
    }
    const now = this.#now;
    const notBeforeInSeconds = this.#notBeforeInSeconds();
    const isForced = refreshWithinSeconds === null;
    const isDue = isForced || expiresBy(connection, this.#in(refreshWithinSeconds));
    const refreshedAt = isForced || !this.#isFree(connection) ? null : connection.refreshedAt;
    const floorLeft = refreshedAt !== null && refreshedAt >= now - FLOOR ? refreshedAt + FLOOR - now : null;
    const mayBeAsked =
      connection.dueAt !== null ||
      (connection.verifyAt !== null && (connection.attemptedAt ?? Number.NEGATIVE_INFINITY) <= now - FLOOR);
    const isFree = this.#isFree(connection) && floorLeft === null && !isLocked;
    if (isDue && mayBeAsked && notBeforeInSeconds === null && isFree) {
      const lease = this.#lease(connection, leaseSeconds);
      if (connection.dueAt !== null) {
        connection.dueAt = Math.max(connection.dueAt, this.#in(leaseSeconds) + this.#sweepWindow);
      }
      return { state: 'leased', details: this.#detailsOf(connection), lease };
    }

    const details = this.#detailsOf(connection);
    const claimableInSeconds = ((connection.claimableAt ?? now) - now) / SECOND;
    const retryInSeconds = Math.max(
      0,
      claimableInSeconds,
      notBeforeInSeconds ?? 0,
      (floorLeft ?? 0) / SECOND,
    );
    if (connection.reauthorizationRequiredSince !== null) {
      // Another process is asking Spotify at the moment whether the mark is right.
      return isDue && connection.leaseId !== null && claimableInSeconds > 0
        ? { state: 'busy', details, retryInSeconds, isRevoked: true }
        : { state: 'reauthorization_required', details };
    }
    if (connection.dueAt === null) {
      return { state: 'disconnected' };
    }
    const isExpired = expiresBy(connection, now);
    if (!isDue || (floorLeft !== null && !isExpired)) {
      return { state: 'connected', details };
    }
    const isRevoked = connection.heldSince !== null;
    return floorLeft !== null ||
      notBeforeInSeconds !== null ||
      (claimableInSeconds > 0 && connection.leaseId === null)
      ? { state: 'backing_off', details, retryInSeconds, isRevoked }
      : { state: 'busy', details, retryInSeconds, isRevoked };
  }

  claimDue(request: ClaimRequest): Omit<ClaimedBatch, 'leases'> & { readonly leases: readonly ModelLease[] } {
    const { batchSize, callsPerSecond, leaseSeconds } = request;
    const now = this.#now;
    const windowEnd = this.#in(request.refreshWithinSeconds);
    this.#sweepWindow = request.refreshWithinSeconds * SECOND;
    const notBeforeInSeconds = this.#notBeforeInSeconds();
    const nothing = { leases: [], callsStartInSeconds: 0, dueUpTo: null, notBeforeInSeconds };
    if (notBeforeInSeconds !== null) {
      return { ...nothing, nextClaimInSeconds: null };
    }
    const callsStartInSeconds =
      callsPerSecond === null ? 0 : Math.max(0, (this.#callsReservedUntil - now) / SECOND);
    const tooEarlyBySeconds =
      callsPerSecond === null ? 0 : callsStartInSeconds + batchSize / callsPerSecond - leaseSeconds / 2;
    if (tooEarlyBySeconds > 0) {
      return { ...nothing, nextClaimInSeconds: tooEarlyBySeconds };
    }

    const all = this.connections();
    const unlocked = all.filter(({ userId }) => !this.lockedUsers.has(userId));
    const isWanted = ({ refreshedAt }: Connection) =>
      refreshedAt === null || refreshedAt < now - request.sweepAgeSeconds * SECOND;
    const isDue = (connection: Connection) =>
      isBy(connection.dueAt, windowEnd) && this.#isFree(connection) && isWanted(connection);
    const due = unlocked
      .filter(isDue)
      .sort((one, other) => compareMoments(one.dueAt, other.dueAt))
      .slice(0, batchSize);
    const dueUpTo = due.at(-1)?.dueAt ?? null;
    // Where there is room, marks that are to be verified.
    const toVerify = unlocked
      .filter((connection) => isBy(connection.verifyAt, now) && this.#isFree(connection))
      .sort((one, other) => compareMoments(one.verifyAt, other.verifyAt))
      .slice(0, batchSize - due.length);
    const leases = [...due, ...toVerify]
      .sort((one, other) => compareMoments(one.expiresAt, other.expiresAt))
      .map((connection) => this.#lease(connection, leaseSeconds));
    for (const connection of due) connection.dueAt = this.#in(leaseSeconds) + this.#sweepWindow;
    for (const connection of toVerify) connection.verifyAt = this.#in(leaseSeconds);
    if (callsPerSecond !== null && leases.length > 0) {
      this.#callsReservedUntil = this.#in(callsStartInSeconds + leases.length / callsPerSecond);
    }

    const isFull = leases.length === batchSize;
    const claimed = new Set(leases.map(({ userId }) => userId));
    const waits = all
      .filter((connection) => connection.dueAt !== null && expiresBy(connection, windowEnd))
      .filter((connection) => isWanted(connection) && !claimed.has(connection.userId))
      .map(({ claimableAt }) => claimableAt ?? 0)
      .filter((claimableAt) => claimableAt > now && claimableAt <= windowEnd)
      .map((claimableAt) => (claimableAt - now) / SECOND);
    // Still free and due: the row was locked for a moment.
    if (all.some(isDue)) waits.push(1);
    return {
      leases,
      nextClaimInSeconds: isFull || waits.length === 0 ? null : waits.reduce((a, b) => Math.min(a, b)),
      callsStartInSeconds,
      dueUpTo: isFull && dueUpTo !== null ? String(dueUpTo) : null,
      notBeforeInSeconds,
    };
  }

  countDue(refreshWithinSeconds: number): number {
    const windowEnd = this.#in(refreshWithinSeconds);
    return this.connections().filter(
      (connection) =>
        isBy(connection.dueAt, windowEnd) ||
        // Leased, backing off, or lapsed since: queued for later than they expire.
        (connection.dueAt !== null && connection.claimableAt !== null && expiresBy(connection, windowEnd)),
    ).length;
  }

  #isFree({ claimableAt }: Connection): boolean {
    return claimableAt === null || claimableAt <= this.#now;
  }

  #lease(connection: Connection, leaseSeconds: number): ModelLease {
    connection.leaseId = randomUUID();
    connection.claimableAt = this.#in(leaseSeconds);
    connection.attemptedAt = this.#now;
    return {
      userId: connection.userId,
      leaseId: connection.leaseId,
      leasedAt: String(this.#now),
      refreshToken: connection.refreshToken ?? '',
      secondsLeft: this.#secondsLeft(connection),
      failures: connection.failures,
    };
  }

  // Outcomes

  record(settled: readonly SettledLease[]): Recorded {
    if (new Set(settled.map(({ lease }) => lease.userId)).size < settled.length) {
      throw new StoreError('STORE_REFUSED', 'two results for one user');
    }
    const judged = settled.map((each) => ({ ...each, verdict: this.#judge(each) }));
    const applied = judged.filter(({ verdict }) => verdict === 'applied');
    const newRefreshes = applied.filter(({ outcome }) => outcome.kind === 'refreshed').length;
    const toJudge = applied
      .filter(({ outcome }) => outcome.kind === 'revoked')
      .map(({ lease }) => this.#connections.get(lease.userId))
      .filter((connection) => connection?.reauthorizationRequiredSince === null);
    const newRevocations = toJudge.filter((connection) => connection?.heldSince === null).length;
    const patience = this.#patienceWithRevocations(newRefreshes, newRevocations);
    const breakerWasOpen = this.#breakerIsOpen();

    const verdicts = new Map(
      judged.map((each) => {
        const connection = this.#connections.get(each.lease.userId);
        const isSettled = each.verdict === 'applied' || each.verdict === 'refused';
        return [
          each.lease.leaseId,
          isSettled && connection !== undefined
            ? this.#settle(connection, each, each.verdict === 'refused', patience)
            : each.verdict,
        ] as const;
      }),
    );
    // For everybody, whatever became of the leases.
    for (const { outcome } of settled) {
      if (outcome.kind === 'throttled') this.holdEverybodyBack(clampToADay(outcome.retryAfterSeconds));
      if (outcome.kind === 'client_rejected') this.holdEverybodyBack(60);
    }
    this.#countRefreshes(newRefreshes);
    if (breakerWasOpen || toJudge.length > 0) {
      this.#judgeBreaker();
    }
    return {
      verdicts,
      refusals: judged.filter(({ verdict }) => verdict === 'refused').map(({ lease }) => refusalOf(lease)),
      notBeforeInSeconds: this.#notBeforeInSeconds(),
      breakerIsOpen: this.#breakerIsOpen(),
    };
  }

  /** Whether an outcome counts: fencing. */
  #judge({ lease, outcome }: SettledLease): Verdict {
    const connection = this.#connections.get(lease.userId);
    if (connection === undefined) {
      return 'stale';
    }
    if (this.lockedUsers.has(lease.userId)) {
      return 'busy';
    }
    const isSuccess = outcome.kind === 'refreshed' || outcome.kind === 'refresh_token_only';
    const isAboutStoredToken = connection.refreshToken === lease.refreshToken;
    // A new refresh token may be the only living one: it counts whatever became of the lease.
    const isRotation = hasRotated(lease, outcome) && isAboutStoredToken;
    if (!isRotation && connection.settledLeaseId === lease.leaseId) {
      return 'already_applied';
    }
    // What Spotify said about one token says nothing about another.
    const needsStoredToken = isSuccess || outcome.kind === 'revoked';
    const hasLease = connection.leaseId === lease.leaseId && (isAboutStoredToken || !needsStoredToken);
    if (!isRotation && !hasLease) {
      return 'stale';
    }
    return isSuccess && this.usersRefusingTokens.has(lease.userId) ? 'refused' : 'applied';
  }

  #settle(
    connection: Connection,
    { lease, outcome }: SettledLease,
    isRefused: boolean,
    patience: number,
  ): Verdict {
    const now = this.#now;
    const old = { ...connection };
    if (isRefused) this.#noteRefusal(connection);
    const wasMarked = connection.reauthorizationRequiredSince !== null;
    const isRefreshed = outcome.kind === 'refreshed' && !isRefused;
    const isAlive = isRefreshed || (outcome.kind === 'refresh_token_only' && !isRefused);
    const isHeld = outcome.kind === 'revoked' && !wasMarked && (connection.heldSince ?? now) + patience > now;
    const isDead = !isAlive && !isHeld && (outcome.kind === 'revoked' || wasMarked);
    const hasFailed =
      isHeld || isRefused || ['refresh_token_only', 'unavailable', 'rejected'].includes(outcome.kind);
    const retryAt = this.#retryAt(connection, { lease, outcome }, isRefused);
    const patienceEndsAt = (connection.heldSince ?? Number.POSITIVE_INFINITY) + patience;
    const waitUntil = isHeld
      ? Math.min(retryAt, now + 15 * MINUTE, Math.max(patienceEndsAt, now + MINUTE))
      : retryAt;

    if (isDead) {
      const markedSince = connection.reauthorizationRequiredSince ?? now;
      const wasHeldByBreaker =
        this.#breakerClosedAt !== null && isBy(connection.heldSince, this.#breakerClosedAt);
      connection.markedAfterAll ||= !wasMarked && (this.#breakerIsOpen() || wasHeldByBreaker);
      connection.verifyAt =
        outcome.kind === 'revoked'
          ? now + Math.max(connection.seenAlive ? HOUR : DAY, (now - markedSince) / 4)
          : retryAt;
      connection.reauthorizationRequiredSince = markedSince;
      connection.reauthorizationReason ??= 'grant_revoked';
    } else {
      unmark(connection);
    }
    if (isHeld) connection.heldSince ??= now;
    else if (isAlive || isDead) connection.heldSince = null;
    if (outcome.kind === 'revoked') connection.revocationReason = outcome.reason;
    else if (isAlive) connection.revocationReason = null;
    connection.seenAlive ||= isAlive;

    if (isAlive && 'refreshToken' in outcome) {
      connection.refreshToken = outcome.refreshToken ?? connection.refreshToken;
    }
    if (isRefreshed) {
      connection.accessToken = outcome.accessToken;
      connection.expiresAt = Number(lease.leasedAt) + outcome.expiresInSeconds * SECOND;
      connection.writtenExpiresAt = connection.expiresAt;
      connection.refreshedAt = now;
      connection.refreshes += 1;
    }
    connection.leaseId = null;
    if (!isRefused) connection.settledLeaseId = lease.leaseId;
    if (outcome.kind === 'released') connection.attemptedAt = null;
    if (isRefreshed) connection.failures = 0;
    else if (hasFailed) connection.failures += 1;
    connection.claimableAt = hasFailed || outcome.kind === 'throttled' ? waitUntil : null;
    if (isDead) connection.dueAt = null;
    else if (isRefreshed) connection.dueAt = connection.expiresAt;
    else if (outcome.kind === 'released' || outcome.kind === 'client_rejected') {
      connection.dueAt = connection.expiresAt ?? now;
    } else connection.dueAt = Math.max(connection.expiresAt ?? 0, waitUntil + this.#sweepWindow);
    this.#noteChange(old, connection);

    if (isHeld) return 'held';
    if (isRefused) return 'refused';
    return outcome.kind === 'revoked' && wasMarked ? 'confirmed' : 'applied';
  }

  #retryAt(connection: Connection, { lease, outcome }: SettledLease, isRefused: boolean): number {
    if (isRefused && hasRotated(lease, outcome)) {
      // Asking with the stored token could end the grant: the new one waits in the rescue queue.
      return this.#now + DAY;
    }
    return this.#in(
      outcome.kind === 'refreshed'
        ? Math.min(1_800, 30 * 2 ** Math.min(connection.failures, 6))
        : clampToADay('retryAfterSeconds' in outcome ? outcome.retryAfterSeconds : 1),
    );
  }

  /** No calls to Spotify for this many seconds. */
  holdEverybodyBack(seconds: number): void {
    this.#notBefore = Math.max(this.#notBefore ?? 0, this.#in(seconds));
  }

  #notBeforeInSeconds(): number | null {
    return this.#notBefore !== null && this.#notBefore > this.#now
      ? (this.#notBefore - this.#now) / SECOND
      : null;
  }

  // Whether Spotify is believed when it says that a grant is dead (docs/decisions/0006)

  #countRefreshes(refreshes: number): void {
    const minute = Math.floor(this.#now / MINUTE) * MINUTE;
    this.#refreshesByMinute.set(minute, (this.#refreshesByMinute.get(minute) ?? 0) + refreshes);
  }

  #refreshesOfLastHour(): number {
    return [...this.#refreshesByMinute]
      .filter(([minute]) => minute >= this.#now - HOUR)
      .reduce((sum, [, refreshes]) => sum + refreshes, 0);
  }

  #isMarkedLately({ reauthorizationRequiredSince, tokensClearedAt }: Connection): boolean {
    return (
      reauthorizationRequiredSince !== null &&
      reauthorizationRequiredSince >= this.#now - EVIDENCE_WINDOW &&
      tokensClearedAt === null
    );
  }

  #isNearlyAllRevoked(newRefreshes: number, newRevocations: number): boolean {
    const refreshes = this.#refreshesOfLastHour() + newRefreshes;
    if (49 * refreshes >= Math.max(1_000, 0.04 * this.#population)) {
      return false;
    }
    const refusals = this.connections().filter(
      (connection) =>
        connection.heldSince !== null ||
        (this.#isMarkedLately(connection) && connection.reauthorizationReason === 'grant_revoked'),
    ).length;
    return refusals + newRevocations >= 5 && 49 * refreshes < refusals + newRevocations;
  }

  #breakerIsOpen(): boolean {
    return this.#breakerOpenedAt !== null;
  }

  /** For how long a grant must have been refused before that is believed. */
  #patienceWithRevocations(newRefreshes: number, newRevocations: number): number {
    if (this.#isNearlyAllRevoked(newRefreshes, newRevocations)) {
      return Number.POSITIVE_INFINITY;
    }
    if (this.#breakerOpenedAt === null) {
      return 0;
    }
    const doubted = this.connections().filter(
      ({ heldSince, markedAfterAll, reauthorizationRequiredSince, tokensClearedAt }) =>
        heldSince !== null ||
        (markedAfterAll &&
          tokensClearedAt === null &&
          (reauthorizationRequiredSince ?? 0) >= this.#now - DAY),
    ).length;
    if (doubted >= Math.ceil(0.04 * this.#population)) {
      return DAY;
    }
    return this.#breakerOpenedAt > this.#now - this.#sweepWindow ? this.#sweepWindow : 20 * MINUTE;
  }

  /** Opens or closes the breaker; while it is open, or nearly all are refused, recent marks are undone. */
  #judgeBreaker(): void {
    const now = this.#now;
    const all = this.connections();
    const threshold = Math.max(5, Math.ceil(0.01 * this.#population));
    // Living grants that are said to be dead, and not by their age.
    const evidence = all.filter(
      (connection) =>
        this.#isMarkedLately(connection) &&
        connection.seenAlive &&
        !connection.markedAfterAll &&
        (connection.authorizedAt === null
          ? connection.revocationReason !== 'expired'
          : connection.authorizedAt > now - 180 * DAY),
    ).length;
    const held = all.filter(({ heldSince, seenAlive }) => heldSince !== null && seenAlive).length;
    if (!this.#breakerIsOpen() && evidence >= threshold) {
      this.#breakerOpenedAt = now;
    } else if (this.#breakerIsOpen() && evidence + held < threshold / 2) {
      this.#breakerOpenedAt = null;
      this.#breakerClosedAt = now;
    }
    if (!this.#breakerIsOpen() && !this.#isNearlyAllRevoked(0, 0)) {
      return;
    }
    for (const connection of all) {
      if (
        this.#isMarkedLately(connection) &&
        connection.reauthorizationReason === 'grant_revoked' &&
        !connection.markedAfterAll &&
        !this.lockedUsers.has(connection.userId)
      ) {
        const old = { ...connection };
        connection.heldSince = connection.reauthorizationRequiredSince;
        unmark(connection);
        connection.claimableAt = now + MINUTE;
        connection.dueAt = Math.max(connection.expiresAt ?? 0, now + MINUTE + this.#sweepWindow);
        this.#noteChange(old, connection);
      }
    }
  }

  // What becomes of dead grants

  clearDeadGrants(
    graceSeconds: number,
    batchSize: number,
  ): { cleared: number; refusals: Refusal[]; done: boolean } {
    if (this.#breakerIsOpen()) {
      return { cleared: 0, refusals: [], done: true };
    }
    const dead = this.connections()
      .filter(
        (connection) =>
          isBy(connection.reauthorizationRequiredSince, this.#in(-graceSeconds)) &&
          connection.tokensClearedAt === null &&
          this.#isFree(connection) &&
          !this.lockedUsers.has(connection.userId),
      )
      .sort((one, other) =>
        compareMoments(one.reauthorizationRequiredSince, other.reauthorizationRequiredSince),
      )
      .slice(0, batchSize);
    const refusing = dead.filter(({ userId }) => this.usersRefusingTokens.has(userId));
    for (const connection of dead) {
      if (refusing.includes(connection)) {
        connection.claimableAt = this.#now + DAY;
        this.#noteRefusal(connection);
      } else {
        const old = { ...connection };
        Object.assign(connection, {
          accessToken: null,
          refreshToken: null,
          writtenExpiresAt: null,
          expiresAt: null,
          verifyAt: null,
          leaseId: null,
          tokensClearedAt: this.#now,
        } satisfies Partial<Connection>);
        this.#noteChange(old, connection);
      }
    }
    return {
      cleared: dead.length - refusing.length,
      refusals: refusing.map(refusalOf),
      done: dead.length < batchSize,
    };
  }

  /** What operators do after a false revocation: undoes all marks whose tokens are still there. */
  restore(): number {
    const restored = this.connections().filter(
      ({ userId, reauthorizationReason, tokensClearedAt }) =>
        reauthorizationReason === 'grant_revoked' &&
        tokensClearedAt === null &&
        !this.lockedUsers.has(userId),
    );
    for (const connection of restored) {
      const old = { ...connection };
      unmark(connection);
      connection.failures = 0;
      connection.dueAt = connection.expiresAt ?? this.#now;
      this.#noteChange(old, connection);
    }
    return restored.length;
  }

  #detailsOf(connection: Connection): ConnectionDetails {
    const { userId, authorizedAt, expiresAt } = connection;
    return {
      spotifyUserId: `spotify-of-${userId}`,
      spotifyUserEmail: `${userId}@example.com`,
      connectedAt: authorizedAt === null ? null : dateOf(authorizedAt).toISOString(),
      expiresAt: expiresAt === null ? null : dateOf(expiresAt).toISOString(),
      reauthorizeBy: authorizedAt === null ? null : sixMonthsAfter(dateOf(authorizedAt)).toISOString(),
      secondsLeft: this.#secondsLeft(connection),
    };
  }

  #secondsLeft({ expiresAt }: Connection): number | null {
    return expiresAt === null ? null : (expiresAt - this.#now) / SECOND;
  }

  #in(seconds: number): number {
    return this.#now + seconds * SECOND;
  }
}

function neverConnected(userId: string): Connection {
  return {
    userId,
    accessToken: null,
    refreshToken: null,
    writtenExpiresAt: null,
    expiresAt: null,
    authorizedAt: null,
    implausibleExpiry: false,
    dueAt: null,
    claimableAt: null,
    leaseId: null,
    settledLeaseId: null,
    attemptedAt: null,
    refreshedAt: null,
    refreshes: 0,
    failures: 0,
    seenAlive: false,
    heldSince: null,
    revocationReason: null,
    reauthorizationRequiredSince: null,
    reauthorizationReason: null,
    markedAfterAll: false,
    verifyAt: null,
    tokensClearedAt: null,
    changes: [],
  };
}

/** Null: its state is what it was, as it is when a token is refreshed again. */
function changeBetween(old: Connection, connection: Connection): Change | null {
  const { reauthorizationReason } = connection;
  if (old.heldSince === null && connection.heldSince !== null) return 'held';
  if (reauthorizationReason !== null) {
    if (reauthorizationReason !== old.reauthorizationReason) {
      return reauthorizationReason === 'grant_revoked' ? 'revoked' : 'incomplete';
    }
    return old.tokensClearedAt === null && connection.tokensClearedAt !== null ? 'cleared' : null;
  }
  if (connection.dueAt === null) {
    return old.dueAt !== null || old.reauthorizationReason !== null ? 'disconnected' : null;
  }
  if (connection.refreshes > old.refreshes || connection.failures > old.failures) {
    if (old.reauthorizationReason !== null || old.heldSince !== null) {
      return connection.heldSince === null ? 'recovered' : null;
    }
    return old.refreshes === 0 && connection.refreshes > 0 && connection.changes.length > 0
      ? 'refreshed'
      : null;
  }
  if (old.reauthorizationReason !== null && connection.revocationReason !== null) return 'restored';
  if (old.authorizedAt === null && old.refreshedAt === null && connection.authorizedAt !== null)
    return 'authorized';
  const isFreed = old.dueAt === null || (old.heldSince !== null && connection.heldSince === null);
  const isAuthorized = connection.authorizedAt !== null && connection.authorizedAt !== old.authorizedAt;
  return isFreed || isAuthorized ? 'reconnected' : null;
}

function unmark(connection: Connection): void {
  connection.reauthorizationRequiredSince = null;
  connection.reauthorizationReason = null;
  connection.markedAfterAll = false;
  connection.verifyAt = null;
}

/** Orders moments, those that are unknown first. */
function compareMoments(one: number | null, other: number | null): number {
  return one === other ? 0 : (one ?? Number.NEGATIVE_INFINITY) - (other ?? Number.NEGATIVE_INFINITY);
}

function isBy(moment: number | null, deadline: number): boolean {
  return moment !== null && moment <= deadline;
}

/** An expiry that is unknown may be over. */
function expiresBy({ expiresAt }: Connection, deadline: number): boolean {
  return expiresAt === null || expiresAt <= deadline;
}

function hasRotated(lease: SettledLease['lease'], outcome: SettledLease['outcome']): boolean {
  return (
    'refreshToken' in outcome &&
    outcome.refreshToken !== undefined &&
    outcome.refreshToken !== lease.refreshToken
  );
}

function clampToADay(seconds: number): number {
  return Math.min(Math.max(seconds, 1), DAY / SECOND);
}

function refusalOf({ userId }: { readonly userId: string }): Refusal {
  return { userId, code: '23514', constraint: 'bondhus_own' };
}

function dateOf(moment: number): Date {
  return new Date(EPOCH + moment);
}

function sixMonthsAfter(date: Date): Date {
  const later = new Date(date);
  later.setUTCMonth(later.getUTCMonth() + 6);
  return later;
}
