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
import { type Connection, ConnectionModel } from './connection-model.ts';

const ROUND_TRIP_MILLISECONDS = 5;

/** Connections by the rules of {@link ConnectionModel}, at the clock's time, over a connection that can fail. */
export class InMemoryConnectionStore implements ConnectionStore {
  readonly model: ConnectionModel;
  /** What was called, in order. */
  readonly calls: (keyof ConnectionStore)[] = [];
  /** Time that each call was given, in milliseconds. */
  readonly timeouts: number[] = [];
  /** Every lease that was handed out, by its id. */
  readonly leases = new Map<string, Lease>();
  /** Every outcome that was given to `record` and answered, in order. */
  readonly recorded: { readonly settled: SettledLease; readonly verdict: Verdict }[] = [];
  /** From where each claim was to go on. */
  readonly dueFrom: (string | null)[] = [];
  /** Runs before each call, in the test's hands: throws, or changes something at the worst moment. */
  beforeEach: (method: keyof ConnectionStore) => void = () => {};
  /** Pages that `reconcile` needs. */
  pagesToReconcile = 1;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.model = new ConnectionModel(() => clock.monotonicMilliseconds());
  }

  /** Stores a connection as Bondhu's backend does, whatever was there. Without an expiry it is due at once. */
  connect(
    userId: string,
    expiresInSeconds: number | null,
    tokens: { readonly accessToken?: string; readonly refreshToken?: string } = {},
  ): void {
    this.model.write(userId, {
      accessToken: `access-token-of-${userId}`,
      refreshToken: `refresh-token-of-${userId}`,
      expiresInSeconds,
      connectedSecondsAgo: 0,
      ...tokens,
    });
  }

  /** Stores the connections `user-0`, `user-1` and so on; ten of them expire in each second from now on. */
  connectMany(count: number): void {
    for (let index = 0; index < count; index += 1) {
      this.connect(`user-${index}`, index / 10);
    }
  }

  disconnect(userId: string): void {
    this.model.write(userId, { accessToken: null, refreshToken: null, expiresInSeconds: null });
  }

  /** Another process takes a lease, and does nothing with it. */
  leaseElsewhere(userId: string, seconds: number): Lease {
    const check = this.model.check(userId, null, seconds);
    if (check.state !== 'leased') {
      throw new Error(`expected ${userId} to be free, but it is ${check.state}`);
    }
    return { ...check.lease, lapsesAt: Number.MAX_SAFE_INTEGER };
  }

  /** Another process takes a lease, with this outcome. */
  settle(userId: string, outcome: RefreshOutcome): void {
    this.model.record([{ lease: this.leaseElsewhere(userId, 60), outcome }]);
  }

  /** Opens the revocation breaker: the grants of five users, whose tokens are fresh for hours, are called dead at once. */
  openBreaker(): void {
    this.model.populate(100, 1_000);
    const others = Array.from({ length: 5 }, (_, index) => `called-dead-${index}`);
    for (const userId of others) {
      this.connect(userId, 60);
      this.settle(userId, { kind: 'refreshed', accessToken: 'fresh', expiresInSeconds: 20 * 3_600 });
    }
    for (const userId of others) {
      this.settle(userId, { kind: 'revoked', reason: 'revoked', retryAfterSeconds: 60 });
    }
  }

  connection(userId: string): Connection {
    const connection = this.model.connection(userId);
    if (connection === undefined) {
      throw new Error(`the test never connected ${userId}`);
    }
    return connection;
  }

  connections(): Connection[] {
    return this.model.connections();
  }

  secondsLeft(userId: string): number | null {
    const { expiresAt } = this.connection(userId);
    return expiresAt === null ? null : (expiresAt - this.#clock.monotonicMilliseconds()) / 1_000;
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

  /** Leases that were not settled exactly once: forgotten, settled again, or never handed out. */
  leasesNotSettledOnce(): string[] {
    const settlements = new Map([...this.leases.keys()].map((leaseId) => [leaseId, 0]));
    for (const { settled, verdict } of this.recorded) {
      if (verdict !== 'busy') {
        const { leaseId } = settled.lease;
        // Not a number: what was never handed out is never right, however often it is settled.
        settlements.set(leaseId, (settlements.get(leaseId) ?? Number.NaN) + 1);
      }
    }
    return [...settlements].filter(([, count]) => count !== 1).map(([leaseId]) => leaseId);
  }

  /** How often a method was called. */
  callsOf(method: keyof ConnectionStore): number {
    return this.calls.filter((call) => call === method).length;
  }

  async check(
    userId: string,
    refreshWithinSeconds: number | null,
    leaseSeconds: number,
    timeoutMilliseconds: number,
  ): Promise<ConnectionCheck> {
    const lapsesAt = this.#clock.monotonicMilliseconds() + leaseSeconds * 1_000;
    await this.#roundTrip('check', timeoutMilliseconds);
    const check = this.model.check(userId, refreshWithinSeconds, leaseSeconds);
    return check.state === 'leased'
      ? { ...check, lease: this.#handOut({ ...check.lease, lapsesAt }) }
      : check;
  }

  async claimDue(request: ClaimRequest, timeoutMilliseconds: number): Promise<ClaimedBatch> {
    const lapsesAt = this.#clock.monotonicMilliseconds() + request.leaseSeconds * 1_000;
    await this.#roundTrip('claimDue', timeoutMilliseconds);
    this.dueFrom.push(request.dueFrom);
    const batch = this.model.claimDue(request);
    return { ...batch, leases: batch.leases.map((lease) => this.#handOut({ ...lease, lapsesAt })) };
  }

  async record(settled: readonly SettledLease[], timeoutMilliseconds: number): Promise<Recorded> {
    await this.#roundTrip('record', timeoutMilliseconds);
    const recorded = this.model.record(settled);
    for (const each of settled) {
      const verdict = recorded.verdicts.get(each.lease.leaseId) ?? 'stale';
      this.recorded.push({ settled: each, verdict });
    }
    return recorded;
  }

  async countDue(refreshWithinSeconds: number, timeoutMilliseconds: number): Promise<number> {
    await this.#roundTrip('countDue', timeoutMilliseconds);
    return this.model.countDue(refreshWithinSeconds);
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
    graceSeconds: number,
    batchSize: number,
    timeoutMilliseconds: number,
  ): Promise<{ cleared: number; refusals: Refusal[]; done: boolean }> {
    await this.#roundTrip('clearDeadGrants', timeoutMilliseconds);
    return this.model.clearDeadGrants(graceSeconds, batchSize);
  }

  #handOut(lease: Lease): Lease {
    this.leases.set(lease.leaseId, lease);
    return lease;
  }

  async #roundTrip(method: keyof ConnectionStore, timeoutMilliseconds: number): Promise<void> {
    this.calls.push(method);
    this.timeouts.push(timeoutMilliseconds);
    await this.#clock.sleep(Math.min(ROUND_TRIP_MILLISECONDS, timeoutMilliseconds));
    if (timeoutMilliseconds < ROUND_TRIP_MILLISECONDS) {
      throw new StoreError('STORE_UNAVAILABLE', `${method} did not answer in time`);
    }
    this.beforeEach(method);
  }
}
