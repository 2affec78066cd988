import type { Clock } from '../lambda/connection/clock.ts';
import type { ConnectionStore, Verdict } from '../lambda/connection/connection-store.ts';
import type { SettledLease } from '../lambda/connection/refresh-outcome.ts';
import type { TokenEndpoint } from '../lambda/connection/token-endpoint.ts';

const MINUTE = 60_000;
const TOKEN_LIFETIME_MILLISECONDS = 60 * MINUTE;

/** How long a call to Spotify takes. With a hundred at once, that makes about 1,000 a second. */
const MILLISECONDS_PER_CALL = 1;

interface User {
  readonly id: string;
  expiresAt: number;
}

/**
 * A day of users and tokens in memory. Only Spotify's answers and `waitUntil` move its clock.
 *
 * Users connect at random times of the day, evenly distributed, and stay. Every token lives for an hour and every new one
 * expires last, so a simple queue is ordered by expiry, which makes a hundred thousand users fast to simulate.
 */
export class SimulatedDay {
  /** Minutes that tokens had been expired by the time they were refreshed, or by the end of the day. */
  expiredMinutes = 0;
  calls = 0;
  /** Minutes that users were connected. */
  connectedMinutes = 0;
  readonly lengthMilliseconds = 24 * 60 * MINUTE;
  readonly #arrivals: number[];
  #arrived = 0;
  #now = 0;
  #queue: User[] = [];
  #first = 0;
  readonly #leased = new Map<string, User>();

  constructor(users: number, random: () => number) {
    this.#arrivals = Array.from({ length: users }, () => random() * this.lengthMilliseconds).sort(
      (one, other) => one - other,
    );
  }

  readonly clock: Clock = {
    monotonicMilliseconds: () => this.#now,
    // Sleepers wait for something that has happened already here, or does not matter.
    sleep: () => Promise.resolve(),
  };

  readonly tokenEndpoint: TokenEndpoint = {
    refresh: async () => {
      this.#call();
      return {
        kind: 'refreshed',
        accessToken: 'access',
        expiresInSeconds: TOKEN_LIFETIME_MILLISECONDS / 1_000,
      };
    },
  };

  readonly store: ConnectionStore = {
    claimDue: async ({ batchSize, refreshWithinSeconds, leaseSeconds }) => ({
      leases: this.#take(batchSize, refreshWithinSeconds * 1_000).map((user) => ({
        userId: user.id,
        leaseId: user.id,
        leasedAt: String(this.#now),
        refreshToken: 'refresh',
        secondsLeft: (user.expiresAt - this.#now) / 1_000,
        failures: 0,
        lapsesAt: this.#now + leaseSeconds * 1_000,
      })),
      nextClaimInSeconds: null,
      notBeforeInSeconds: null,
      callsStartInSeconds: 0,
      dueUpTo: null,
    }),
    record: async (settled) => ({
      verdicts: new Map(settled.map((each) => [each.lease.leaseId, this.#record(each)])),
      refusals: [],
      notBeforeInSeconds: null,
      breakerIsOpen: false,
    }),
    countDue: async (refreshWithinSeconds) => this.#countDue(refreshWithinSeconds * 1_000),
    reconcile: async () => ({ healed: 0, done: true }),
    clearDeadGrants: async () => ({ cleared: 0, refusals: [], done: true }),
    check: async () => ({ state: 'disconnected' }),
  };

  /** Moves the clock forward; it never goes back. */
  waitUntil(moment: number): void {
    this.#now = Math.max(this.#now, moment);
    this.#letUsersArrive();
  }

  /** The obvious program: refreshes tokens shortly before they expire, one after another. */
  refreshOneByOne(withinMilliseconds: number): void {
    for (
      let [user] = this.#take(1, withinMilliseconds);
      user !== undefined;
      [user] = this.#take(1, withinMilliseconds)
    ) {
      this.#call();
      this.#refreshed(user, this.#now);
    }
  }

  /** Counts the expired minutes that are left at the end of the day. */
  end(): void {
    this.waitUntil(this.lengthMilliseconds);
    for (const user of this.#queue.slice(this.#first)) this.#countExpired(user);
    this.connectedMinutes =
      this.#arrivals.reduce((sum, moment) => sum + this.lengthMilliseconds - moment, 0) / MINUTE;
  }

  #call(): void {
    this.calls += 1;
    this.waitUntil(this.#now + MILLISECONDS_PER_CALL);
  }

  #letUsersArrive(): void {
    for (
      let moment = this.#arrivals[this.#arrived];
      moment !== undefined && moment <= this.#now;
      moment = this.#arrivals[this.#arrived]
    ) {
      this.#queue.push({ id: `user-${this.#arrived}`, expiresAt: moment + TOKEN_LIFETIME_MILLISECONDS });
      this.#arrived += 1;
    }
  }

  #take(count: number, withinMilliseconds: number): User[] {
    const until = this.#now + withinMilliseconds;
    const end = Math.min(this.#first + count, this.#queue.length);
    let next = this.#first;
    while (next < end && (this.#queue[next]?.expiresAt ?? 0) <= until) next += 1;
    const taken = this.#queue.slice(this.#first, next);
    this.#first = next;
    if (this.#first > this.#queue.length / 2) {
      this.#queue = this.#queue.slice(this.#first);
      this.#first = 0;
    }
    for (const user of taken) this.#leased.set(user.id, user);
    return taken;
  }

  #record({ lease, outcome }: SettledLease): Verdict {
    const user = this.#leased.get(lease.userId);
    if (user === undefined || outcome.kind !== 'refreshed') {
      throw new Error(`nothing fails in this simulation, got ${outcome.kind}`);
    }
    this.#refreshed(user, Number(lease.leasedAt));
    return 'applied';
  }

  #refreshed(user: User, leasedAt: number): void {
    this.#countExpired(user);
    this.#leased.delete(user.id);
    user.expiresAt = leasedAt + TOKEN_LIFETIME_MILLISECONDS;
    this.#queue.push(user);
  }

  #countExpired({ expiresAt }: User): void {
    this.expiredMinutes += Math.max(0, this.#now - expiresAt) / MINUTE;
  }

  #countDue(withinMilliseconds: number): number {
    const until = this.#now + withinMilliseconds;
    let due = 0;
    for (
      let index = this.#first;
      (this.#queue[index]?.expiresAt ?? Number.POSITIVE_INFINITY) <= until;
      index += 1
    )
      due += 1;
    return due;
  }
}
