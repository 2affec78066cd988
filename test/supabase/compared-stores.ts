import { expect } from '@jest/globals';
import type fc from 'fast-check';
import type { ConnectionCheck, Recorded, Verdict } from '../../lambda/connection/connection-store.ts';
import type { Lease } from '../../lambda/connection/lease.ts';
import type { RefreshOutcome } from '../../lambda/connection/refresh-outcome.ts';
import {
  InMemoryUnderTest,
  SqlUnderTest,
  type State,
  type StoreUnderTest,
} from '../lambda/contract/stores.ts';
import type { Written } from '../lambda/fakes/connection-model.ts';

const TIMEOUT_MILLISECONDS = 1_000;

/** The same lease as either store has given it out. */
export type LeasePair = { readonly model: Lease; readonly sql: Lease };

/** Asks the model and the SQL the same, and compares what they answer and what they have stored. */
export class ComparedStores {
  /** Every lease that was given out, the newest last. */
  readonly leases: LeasePair[] = [];
  /** What has been seen to happen, or a property would prove nothing. */
  readonly seen = new Set<string>();
  readonly #model = new InMemoryUnderTest();
  readonly #sql: SqlUnderTest;
  #realTime = performance.now();

  private constructor(sql: SqlUnderTest) {
    this.#sql = sql;
  }

  static async start(): Promise<ComparedStores> {
    return new ComparedStores(await SqlUnderTest.start());
  }

  async clear(): Promise<void> {
    this.leases.length = 0;
    await this.#both((tested) => tested.clear());
  }

  stop(): Promise<void> {
    return this.#sql.stop();
  }

  async connect(userId: string, written: Written): Promise<void> {
    await this.#both((tested) => tested.signUp(userId));
    await this.write(userId, written);
  }

  async write(userId: string, written: Written): Promise<void> {
    await this.#both((tested) => tested.write(userId, written));
  }

  async populate(population: number, refreshes: number): Promise<void> {
    await this.#both((tested) => tested.populate(population, refreshes));
  }

  async letTimePass(seconds: number): Promise<void> {
    await this.#both((tested) => tested.letTimePass(seconds));
  }

  /** Does something while another session has a user's rows locked. */
  async whileLocked(userId: string, act: () => Promise<void>): Promise<void> {
    const unlock = await this.#both((tested) => tested.lock(userId));
    await act();
    await Promise.all(unlock.map((each) => each()));
  }

  async check(userId: string, refreshWithinSeconds: number, leaseSeconds: number): Promise<void> {
    const [sql, model] = await this.#both(({ store }) =>
      store.check(userId, refreshWithinSeconds, leaseSeconds, TIMEOUT_MILLISECONDS),
    );
    expect(comparableCheck(sql)).toEqual(about(comparableCheck(model)));
    if (sql.state === 'leased' && model.state === 'leased') {
      this.leases.push({ sql: sql.lease, model: model.lease });
    }
    this.seen.add(`check: ${model.state}`);
  }

  async claimDue(refreshWithinSeconds: number, leaseSeconds: number): Promise<void> {
    const [sql, model] = await this.#both(({ store }) =>
      store.claimDue(
        {
          batchSize: 100,
          refreshWithinSeconds,
          leaseSeconds,
          sweepAgeSeconds: 0,
          callsPerSecond: null,
          dueFrom: null,
        },
        TIMEOUT_MILLISECONDS,
      ),
    );
    // Those that expire in the same moment come in any order.
    const [sqlLeases, modelLeases] = [sql, model].map(({ leases }) =>
      leases.toSorted((one, other) => one.userId.localeCompare(other.userId)),
    ) as [Lease[], Lease[]];
    expect({ ...sql, leases: sqlLeases.map(comparableLease) }).toEqual(
      about({ ...model, leases: modelLeases.map(comparableLease) }),
    );
    for (const [place, lease] of modelLeases.entries()) {
      this.leases.push({ model: lease, sql: sqlLeases[place] as Lease });
    }
    this.seen.add(`claim: ${model.notBeforeInSeconds === null ? modelLeases.length > 0 : 'not before'}`);
  }

  async record(
    settled: readonly { readonly lease: LeasePair; readonly outcome: RefreshOutcome }[],
  ): Promise<{ readonly verdicts: readonly Verdict[]; readonly breakerIsOpen: boolean }> {
    const [sql, model] = await this.#both(({ store }, side) =>
      store.record(
        settled.map(({ lease, outcome }) => ({ lease: lease[side], outcome })),
        TIMEOUT_MILLISECONDS,
      ),
    );
    const verdictsOf = (recorded: Recorded, side: keyof LeasePair) =>
      settled.map(({ lease }) => recorded.verdicts.get(lease[side].leaseId) as Verdict);
    const verdicts = verdictsOf(model, 'model');
    expect({ ...sql, verdicts: verdictsOf(sql, 'sql') }).toEqual(about({ ...model, verdicts }));
    for (const verdict of verdicts) this.seen.add(`record: ${verdict}`);
    return { verdicts, breakerIsOpen: model.breakerIsOpen };
  }

  async countDue(refreshWithinSeconds: number): Promise<void> {
    const [sql, model] = await this.#both(({ store }) =>
      store.countDue(refreshWithinSeconds, TIMEOUT_MILLISECONDS),
    );
    expect(sql).toBe(model);
    this.seen.add(`due: ${model}`);
  }

  async clearDeadGrants(graceSeconds: number): Promise<void> {
    const [sql, model] = await this.#both(({ store }) =>
      store.clearDeadGrants(graceSeconds, 100, TIMEOUT_MILLISECONDS),
    );
    expect(sql).toEqual(model);
    if (model.cleared > 0) this.seen.add('cleared');
  }

  async restore(): Promise<void> {
    const [sql, model] = await this.#both((tested) => tested.restore());
    expect(sql).toBe(model);
    if (model > 0) this.seen.add('restored');
  }

  /** What the model has stored; after every command the SQL has the same. */
  states(): Promise<ReadonlyMap<string, State>> {
    return this.#model.states();
  }

  async expectSameStates(): Promise<void> {
    const [sqlStates, modelStates] = await this.#both((tested) => tested.states());
    expect(this.#comparableStates(sqlStates, 'sql')).toEqual(
      about(this.#comparableStates(modelStates, 'model')),
    );
    for (const { changes } of modelStates.values()) {
      for (const change of changes) this.seen.add(`change: ${change}`);
    }
  }

  /** States in which leases have numbers instead of ids. */
  #comparableStates(states: ReadonlyMap<string, State>, side: keyof LeasePair) {
    const numbers = new Map(this.leases.map((lease, number) => [lease[side].leaseId, number]));
    const numberOf = (leaseId: string | null) => leaseId && numbers.get(leaseId);
    return Object.fromEntries(
      [...states].map(([userId, state]) => [
        userId,
        { ...state, leaseId: numberOf(state.leaseId), settledLeaseId: numberOf(state.settledLeaseId) },
      ]),
    );
  }

  async #both<Answer>(
    ask: (tested: StoreUnderTest, side: keyof LeasePair) => Promise<Answer>,
  ): Promise<[sql: Answer, model: Answer]> {
    const sql = await ask(this.#sql, 'sql');
    // The database's time goes on by itself while it works, and the model's has to keep up.
    const now = performance.now();
    this.#model.clock.advance(now - this.#realTime);
    this.#realTime = now;
    return [sql, await ask(this.#model, 'model')];
  }
}

/** A command of a property, after which both have the same stored. */
export function commandOf(
  name: string,
  run: (stores: ComparedStores) => Promise<void>,
): fc.AsyncCommand<object, ComparedStores> {
  return {
    check: () => true,
    toString: () => name,
    run: async (_, stores) => {
      await run(stores);
      await stores.expectSameStates();
    },
  };
}

function comparableCheck(check: ConnectionCheck) {
  return {
    ...check,
    ...('details' in check && { details: check.details && { secondsLeft: check.details.secondsLeft } }),
    ...('lease' in check && { lease: comparableLease(check.lease) }),
  };
}

function comparableLease({ userId, refreshToken, secondsLeft, failures }: Lease) {
  return { userId, refreshToken, secondsLeft, failures };
}

/** What equals this, save that durations may be a few seconds longer or shorter: a machine can be busy. */
function about(value: unknown, name = ''): unknown {
  if (typeof value === 'number') {
    return /seconds|At$|Since$/i.test(name) ? expect.closeTo(value, -1) : value;
  }
  if (Array.isArray(value)) {
    return value.map((each) => about(each, name));
  }
  return typeof value === 'object' && value !== null
    ? Object.fromEntries(Object.entries(value).map(([key, each]) => [key, about(each, key)]))
    : value;
}
