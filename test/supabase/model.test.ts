import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Json, type LeaseRow, TestDatabase } from './database.ts';

const window = 2400;
const margin = 300;
const sweepLease = 300;
const statusLease = 15;
const floor = 30;
const backoff = 60;
const hour = 3600;
const day = 24 * hour;
/** An expiry from outside that is further away is not believed. */
const longestLife = 70 * 60;

/** The rules of leases and fencing, for one user, in seconds since the beginning. */
type Model = {
  now: number;
  /** How often Bondhu wrote. */
  writes: number;
  access: string | null;
  refresh: string | null;
  expiresAt: number | null;
  /** What Bondhu wrote as the expiry, though it is too far away to be true. */
  implausibleExpiry: number | null;
  /** Whether the last one from outside was: remembered, whatever we have stored since. */
  wroteImplausible: boolean;
  lease: number | null;
  claimableAt: number;
  attemptedAt: number;
  settled: number | null;
  dead: boolean;
  /** Since when Spotify calls the grant dead, and when it is asked again whether that is so. */
  markedAt: number;
  verifyAt: number | null;
  seenAlive: boolean;
  /** Nobody calls Spotify before. */
  notBefore: number;
};

/** The user in the database, and every lease that was ever given out, with the moment it was. */
type Real = {
  readonly user: string;
  readonly leases: { readonly row: LeaseRow; readonly takenAt: number }[];
};

type Command = fc.AsyncCommand<Model, Real>;

let database: TestDatabase;

beforeAll(async () => {
  database = await TestDatabase.start();
});
afterAll(() => database.stop());

function expiresWithin(model: Model, seconds: number): boolean {
  return model.expiresAt === null || model.expiresAt <= model.now + seconds;
}

function isAlive(model: Model): boolean {
  return model.refresh !== null && !model.dead;
}

/** What an outside write does, or a drift that a status call finds. */
function follow(model: Model): void {
  model.lease = null;
  model.dead = model.access !== null && model.refresh === null;
  model.verifyAt = null;
  model.claimableAt = Math.max(model.now, model.attemptedAt + floor);
}

/** Takes over an expiry from outside, as far as it can be true by now. */
function believe(model: Model, expiresAt: number | null): void {
  const isPlausible = expiresAt === null || expiresAt <= model.now + longestLife;
  model.expiresAt = isPlausible ? expiresAt : null;
  model.implausibleExpiry = isPlausible ? null : expiresAt;
  model.wroteImplausible = !isPlausible;
}

function takeLease(model: Model, real: Real, row: LeaseRow, seconds: number): void {
  expect(row.refresh_token).toBe(model.refresh);
  model.lease = real.leases.push({ row, takenAt: model.now }) - 1;
  model.claimableAt = model.now + seconds;
  model.attemptedAt = model.now;
}

class Check implements Command {
  check = () => true;
  toString = () => 'check';

  async run(model: Model, real: Real): Promise<void> {
    const answer = await database.check(real.user);
    if (model.implausibleExpiry !== null && model.implausibleExpiry <= model.now + longestLife) {
      believe(model, model.implausibleExpiry);
      follow(model);
    }
    const isFree = model.claimableAt <= model.now && model.notBefore <= model.now;
    const mayVerify =
      model.verifyAt !== null && model.attemptedAt <= model.now - floor && expiresWithin(model, margin);
    const expected = model.dead
      ? mayVerify && isFree
        ? 'leased'
        : 'reauthorization_required'
      : !isAlive(model)
        ? 'disconnected'
        : !expiresWithin(model, margin)
          ? 'connected'
          : isFree
            ? 'leased'
            : model.lease === null || model.notBefore > model.now
              ? 'backing_off'
              : 'busy';
    expect(answer['state']).toBe(expected);
    if (answer.lease) takeLease(model, real, answer.lease, statusLease);
  }
}

class Claim implements Command {
  check = () => true;
  toString = () => 'claim';

  async run(model: Model, real: Real): Promise<void> {
    const { claims, next_claim_in, not_before_in } = await database.claim();
    expect(not_before_in !== null).toBe(model.notBefore > model.now);
    if (not_before_in !== null) {
      expect([claims, next_claim_in]).toEqual([[], null]);
      return;
    }
    const isWanted = isAlive(model) && expiresWithin(model, window);
    const isFree = model.claimableAt <= model.now;
    const isToVerify = model.verifyAt !== null && model.verifyAt <= model.now;
    expect(claims).toHaveLength((isWanted || isToVerify) && isFree ? 1 : 0);
    expect(next_claim_in !== null).toBe(isWanted && !isFree);
    for (const row of claims) takeLease(model, real, row, sweepLease);
    if (claims.length > 0 && isToVerify) model.verifyAt = model.now + sweepLease;
  }
}

class Record implements Command {
  readonly #pick: number;
  readonly #outcome: string;
  readonly #rotates: boolean;
  readonly #expiresIn: number;

  constructor(pick: number, outcome: string, rotates: boolean, expiresIn: number) {
    this.#pick = pick;
    this.#outcome = outcome;
    this.#rotates = rotates;
    this.#expiresIn = expiresIn;
  }

  check = () => true;
  toString = () =>
    `record(lease ${this.#pick}, ${this.#outcome}${this.#rotates ? ' rotated' : ''}, ${this.#expiresIn} s)`;

  async run(model: Model, real: Real): Promise<void> {
    if (real.leases.length === 0) return;
    // Mostly the newest ones.
    const index = real.leases.length - 1 - (this.#pick % Math.min(3, real.leases.length));
    const { row, takenAt } = real.leases[index] as Real['leases'][number];
    const isSuccess = this.#outcome === 'refreshed';
    const newRefresh = this.#rotates ? `rotated-${index}` : null;
    // Time that passed in the model only has to pass for the lease as well.
    const leasedAt = Date.parse(row.leased_at) - (model.now - takenAt) * 1000;

    const verdict = await database.record(row, {
      leased_at: new Date(leasedAt).toISOString(),
      outcome: this.#outcome,
      used_refresh_token: row.refresh_token,
      retry_after: backoff,
      ...(isSuccess && {
        access_token: `access-${index}`,
        refresh_token: newRefresh,
        expires_in: this.#expiresIn,
      }),
    });

    expect(verdict).toBe(this.#verdict(model, index, row));
    // For everybody, whatever becomes of the lease.
    if (this.#outcome === 'throttled') model.notBefore = Math.max(model.notBefore, model.now + backoff);
    if (verdict === 'applied') this.#apply(model, index, takenAt, newRefresh);
  }

  #verdict(model: Model, index: number, row: LeaseRow): string {
    const isStored = model.refresh === row.refresh_token;
    if (this.#outcome === 'refreshed' && this.#rotates && isStored) return 'applied';
    if (model.settled === index) return 'already_applied';
    return model.lease === index ? 'applied' : 'stale';
  }

  #apply(model: Model, index: number, takenAt: number, newRefresh: string | null): void {
    model.lease = null;
    model.settled = index;
    model.claimableAt =
      model.now + (['throttled', 'unavailable', 'rejected'].includes(this.#outcome) ? backoff : 0);
    if (this.#outcome === 'revoked') {
      if (!model.dead) model.markedAt = model.now;
      model.dead = true;
      model.verifyAt = model.now + Math.max(model.seenAlive ? hour : day, (model.now - model.markedAt) / 4);
    } else if (model.dead) {
      model.verifyAt = model.now + backoff;
    }
    if (this.#outcome === 'released') model.attemptedAt = Number.NEGATIVE_INFINITY;
    if (this.#outcome === 'refreshed') {
      model.dead = false;
      model.verifyAt = null;
      model.seenAlive = true;
      model.implausibleExpiry = null;
      model.access = `access-${index}`;
      model.refresh = newRefresh ?? model.refresh;
      model.expiresAt = takenAt + this.#expiresIn;
    }
  }
}

/** What Bondhu writes; every write changes the moment of connecting. */
class WriteOutside implements Command {
  readonly #tokens: { readonly access: string | null; readonly refresh: string | null | undefined };
  readonly #expires: number | null;

  constructor(access: string | null, refresh: string | null | undefined, expires: number | null) {
    this.#tokens = { access, refresh };
    this.#expires = expires;
  }

  check = () => true;
  toString = () => `write(${JSON.stringify(this.#tokens)}, ${this.#expires} s)`;

  async run(model: Model, real: Real): Promise<void> {
    const { access, refresh } = this.#tokens;
    await database.writeProfile(real.user, {
      access,
      ...(refresh !== undefined && { refresh }),
      expires: this.#expires,
      connectedAt: new Date(Date.UTC(2026, 0, 1) + model.writes * 1000).toISOString(),
    });
    model.writes += 1;
    model.access = access;
    if (refresh !== undefined && refresh !== model.refresh) {
      model.refresh = refresh;
      // What we have seen alive was another grant.
      model.seenAlive = false;
    }
    believe(model, access === null || this.#expires === null ? null : model.now + this.#expires);
    follow(model);
  }
}

class LetTimePass implements Command {
  readonly #seconds: number;

  constructor(seconds: number) {
    this.#seconds = seconds;
  }

  check = () => true;
  toString = () => `let ${this.#seconds} s pass`;

  async run(model: Model, real: Real): Promise<void> {
    await database.letTimePass(real.user, `${this.#seconds} seconds`);
    model.now += this.#seconds;
  }
}

/** After every command, what is stored is what the model says. */
async function expectAgreement(model: Model, real: Real): Promise<void> {
  const profile = (await database.profile(real.user)) as Json;
  expect([profile['spotify_access_token'], profile['spotify_refresh_token']]).toEqual([
    model.access,
    model.refresh,
  ]);
  const connection = await database.connection(real.user);
  const lease = model.lease === null ? null : real.leases[model.lease]?.row.lease_id;
  expect(connection?.['lease_id'] ?? null).toBe(lease);
  expect((connection?.['reauthorization_required_since'] ?? null) !== null).toBe(model.dead);
  expect((connection?.['due_at'] ?? null) !== null).toBe(isAlive(model));
  expect((connection?.['verify_at'] ?? null) !== null).toBe(model.verifyAt !== null);
  expect(connection?.['seen_alive'] ?? false).toBe(model.seenAlive);
  expect(connection?.['implausible_expiry'] ?? false).toBe(model.wroteImplausible);
}

function andAgree(command: Command): Command {
  return {
    check: (model) => command.check(model),
    toString: () => command.toString(),
    async run(model, real) {
      await command.run(model, real);
      await expectAgreement(model, real);
    },
  };
}

const expiry = fc.constantFrom(60, 1200, 7200);
const command = fc.oneof(
  { weight: 3, arbitrary: fc.constant(new Check()) },
  { weight: 3, arbitrary: fc.constant(new Claim()) },
  {
    weight: 5,
    arbitrary: fc
      .record({
        pick: fc.nat(2),
        outcome: fc.constantFrom(
          'refreshed',
          'refreshed',
          'revoked',
          'throttled',
          'unavailable',
          'rejected',
          'released',
        ),
        rotates: fc.boolean(),
        expiresIn: expiry,
      })
      .map(({ pick, outcome, rotates, expiresIn }) => new Record(pick, outcome, rotates, expiresIn)),
  },
  {
    weight: 3,
    arbitrary: fc
      .record({
        access: fc.constantFrom('access', 'access', null),
        // undefined: Bondhu keeps the refresh token that is stored.
        refresh: fc.constantFrom('refresh-1', 'refresh-1', 'refresh-2', null, undefined),
        expires: fc.oneof(expiry, fc.constant(null)),
      })
      .map(({ access, refresh, expires }) => new WriteOutside(access, refresh, expires)),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom(10, 30, 60, 300, 3000, 90_000).map((seconds) => new LetTimePass(seconds)),
  },
);

test('leases, fencing and outside writes follow the model, in any order', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.commands([command.map(andAgree)], { maxCommands: 40, size: 'max' }),
      async (commands) => {
        await database.clear();
        const user = await database.createUser({ access: 'access', refresh: 'refresh-1', expires: 60 });
        const setup = () => ({
          model: {
            now: 0,
            writes: 0,
            access: 'access',
            refresh: 'refresh-1',
            expiresAt: 60,
            lease: null,
            claimableAt: 0,
            attemptedAt: Number.NEGATIVE_INFINITY,
            settled: null,
            implausibleExpiry: null,
            wroteImplausible: false,
            dead: false,
            markedAt: 0,
            verifyAt: null,
            seenAlive: false,
            notBefore: 0,
          },
          real: { user, leases: [] },
        });
        await fc.asyncModelRun(setup, commands);
      },
    ),
    { numRuns: 60 },
  );
});
