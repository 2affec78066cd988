import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type LeaseRow, ownToken, TestDatabase } from './database.ts';

const USERS = 8;
/** One of them authorized so long ago that Spotify's six months may be over. */
const OLD_USER = 0;
/** One of them this system has never refreshed. */
const UNKNOWN_USER = 1;

const SWEEP_WINDOW = 2_400;
const LEASE = 300;
const BACKOFF = 60;
const FLOOR = 30;
const TOKEN_LIFE = 3_600;
const EVIDENCE_WINDOW = 30 * 60;
const SHORT_PATIENCE = 20 * 60;
const HOUR = 3_600;
const DAY = 24 * HOUR;
const GRACE = DAY;

/** 4 % of these are one, four and eight connections; 1 % is never more than five. */
const POPULATIONS = [8, 100, 200];
const THRESHOLD = 5;

/** Time only passes in steps like these: no sum of them comes near one of the moments above. */
const STEPS = [420, 1_000, 90_000];

type Outcome = 'refreshed' | 'revoked' | 'unavailable';

/** One user, in seconds since the beginning. */
type User = {
  expiresAt: number;
  lease: LeaseRow | null;
  leasedAt: number;
  claimableAt: number;
  attemptedAt: number;
  failures: number;
  seenAlive: boolean;
  markedAt: number | null;
  markedAfterAll: boolean;
  verifyAt: number | null;
  tokensAreCleared: boolean;
  heldSince: number | null;
};

/** The rules of the revocation breaker. */
type Model = {
  now: number;
  isOpen: boolean;
  closedAt: number | null;
  readonly population: number;
  /** Within the last hour. */
  refreshes: number;
  readonly users: User[];
};

type Real = { readonly ids: readonly string[] };
type Command = fc.AsyncCommand<Model, Real>;

/** What has been seen to happen, or the test would prove nothing. */
const seen = {
  opened: 0,
  closed: 0,
  undone: 0,
  held: 0,
  believedAfterAll: 0,
  believedAfterClosing: 0,
  nearlyAllRefused: 0,
};

let database: TestDatabase;

beforeAll(async () => {
  database = await TestDatabase.start();
});
afterAll(() => database.stop());

function isRecent(model: Model, moment: number | null): boolean {
  return moment !== null && moment > model.now - EVIDENCE_WINDOW;
}

function hold(user: User, since: number, claimableAt: number): void {
  Object.assign(user, { heldSince: since, markedAt: null, verifyAt: null, claimableAt });
  seen.held += 1;
}

/** Takes leases on all that are due and free, and on marks that are to be verified. */
class Claim implements Command {
  check = () => true;
  toString = () => 'claim';

  async run(model: Model, real: Real): Promise<void> {
    const { claims } = await database.claim();
    const expected = model.users.flatMap((user, index) => {
      const isDue =
        user.markedAt === null
          ? user.expiresAt <= model.now + SWEEP_WINDOW
          : user.verifyAt !== null && user.verifyAt <= model.now;
      return isDue && user.claimableAt <= model.now ? [real.ids[index]] : [];
    });
    expect(claims.map(({ user_id }) => user_id).sort()).toEqual(expected.sort());
    for (const claim of claims) {
      const user = model.users[real.ids.indexOf(claim.user_id)] as User;
      user.lease = claim;
      user.leasedAt = model.now;
      user.attemptedAt = model.now;
      user.claimableAt = model.now + LEASE;
      if (user.markedAt !== null) user.verifyAt = model.now + LEASE;
    }
  }
}

/** Records what became of the leases of some users, as one batch. */
class Record implements Command {
  readonly #outcomes: ReadonlyMap<number, Outcome>;

  constructor(outcomes: ReadonlyMap<number, Outcome>) {
    this.#outcomes = outcomes;
  }

  check = () => true;
  toString = () =>
    `record(${[...this.#outcomes].map(([index, outcome]) => `${index} ${outcome}`).join(', ')})`;

  async run(model: Model): Promise<void> {
    const batch = [...this.#outcomes].flatMap(([index, outcome]) => {
      const user = model.users[index] as User;
      return user.lease === null ? [] : [{ user, lease: user.lease, outcome }];
    });
    const recorded = await database.recordAll(
      batch.map(({ user, lease, outcome }) => ({
        user_id: lease.user_id,
        lease_id: lease.lease_id,
        leased_at: new Date(Date.parse(lease.leased_at) - (model.now - user.leasedAt) * 1_000).toISOString(),
        outcome,
        reason: 'revoked',
        used_refresh_token: lease.refresh_token,
        retry_after: BACKOFF,
        ...(outcome === 'refreshed' && { access_token: 'new', expires_in: TOKEN_LIFE }),
      })),
    );

    const wasOpen = model.isOpen;
    const newRefreshes = batch.filter(({ outcome }) => outcome === 'refreshed').length;
    const toJudge = batch.filter(({ user, outcome }) => outcome === 'revoked' && user.markedAt === null);
    const newRefusals = toJudge.filter(({ user }) => user.heldSince === null).length;
    const patience = patienceWithRefusals(model, newRefreshes, newRefusals);
    for (const { user, lease, outcome } of batch) {
      const verdict = settle(model, user, outcome, patience);
      expect(recorded.verdicts).toContainEqual({ user_id: lease.user_id, lease_id: lease.lease_id, verdict });
    }
    model.refreshes += newRefreshes;
    if (wasOpen || toJudge.length > 0) judge(model);
    expect(recorded.breaker_is_open).toBe(model.isOpen);
  }
}

function isNearlyAllRefused(model: Model, newRefreshes: number, newRefusals: number): boolean {
  const refusals = model.users.filter(
    (user) => user.heldSince !== null || (isRecent(model, user.markedAt) && !user.tokensAreCleared),
  ).length;
  const all = refusals + newRefusals + model.refreshes + newRefreshes;
  return refusals + newRefusals >= 5 && model.refreshes + newRefreshes < 0.02 * all;
}

/** For how many seconds a grant must have been refused before that is believed. */
function patienceWithRefusals(model: Model, newRefreshes: number, newRefusals: number): number {
  if (isNearlyAllRefused(model, newRefreshes, newRefusals)) return Number.POSITIVE_INFINITY;
  if (!model.isOpen) return 0;
  const held = model.users.filter(({ heldSince }) => heldSince !== null).length;
  return held < 0.04 * model.population ? SHORT_PATIENCE : DAY;
}

function settle(
  model: Model,
  user: User,
  outcome: Outcome,
  patience: number,
): 'applied' | 'held' | 'confirmed' {
  user.lease = null;
  user.claimableAt = model.now;
  if (outcome === 'unavailable') {
    user.failures += 1;
    user.claimableAt = model.now + BACKOFF;
    if (user.markedAt !== null) user.verifyAt = model.now + BACKOFF;
    return 'applied';
  }
  if (outcome === 'refreshed') {
    Object.assign(user, {
      failures: 0,
      heldSince: null,
      markedAt: null,
      markedAfterAll: false,
      verifyAt: null,
      seenAlive: true,
      expiresAt: user.leasedAt + TOKEN_LIFE,
    });
    return 'applied';
  }
  if (user.markedAt === null && (user.heldSince ?? model.now) + patience > model.now) {
    user.failures += 1;
    hold(user, user.heldSince ?? model.now, model.now + BACKOFF);
    return 'held';
  }
  const wasMarked = user.markedAt !== null;
  if (user.markedAt === null) {
    user.markedAt = model.now;
    const wasHeldByBreaker = (user.heldSince ?? model.now) <= (model.closedAt ?? Number.NEGATIVE_INFINITY);
    user.markedAfterAll = model.isOpen || wasHeldByBreaker;
    user.heldSince = null;
    if (model.isOpen) seen.believedAfterAll += 1;
    else if (wasHeldByBreaker) seen.believedAfterClosing += 1;
  }
  user.verifyAt = model.now + Math.max(user.seenAlive ? HOUR : DAY, (model.now - user.markedAt) / 4);
  return wasMarked ? 'confirmed' : 'applied';
}

/** Opens or closes the breaker; while it is open, or nearly all are refused, recent marks are undone. */
function judge(model: Model): void {
  const undoable = model.users.filter(
    (user) => isRecent(model, user.markedAt) && !user.tokensAreCleared && !user.markedAfterAll,
  );
  const evidence = undoable.filter((user) => user.seenAlive && user !== model.users[OLD_USER]).length;
  const held = model.users.filter((user) => user.heldSince !== null && user.seenAlive).length;
  if (!model.isOpen && evidence >= THRESHOLD) {
    model.isOpen = true;
    seen.opened += 1;
  } else if (model.isOpen && evidence + held < THRESHOLD / 2) {
    model.isOpen = false;
    model.closedAt = model.now;
    seen.closed += 1;
  }
  const nearlyAll = isNearlyAllRefused(model, 0, 0);
  if (nearlyAll) seen.nearlyAllRefused += 1;
  if (!model.isOpen && !nearlyAll) return;
  for (const user of undoable) {
    hold(user, user.markedAt as number, model.now + 60);
    seen.undone += 1;
  }
}

class Reconnect implements Command {
  readonly #index: number;

  constructor(index: number) {
    this.#index = index;
  }

  check = () => true;
  toString = () => `user ${this.#index} reconnects`;

  async run(model: Model, real: Real): Promise<void> {
    await database.writeProfile(real.ids[this.#index] ?? '', {
      access: randomUUID(),
      refresh: ownToken,
      expires: 60,
    });
    const user = model.users[this.#index] as User;
    Object.assign(user, {
      expiresAt: model.now + 60,
      lease: null,
      claimableAt: user.attemptedAt + FLOOR,
      failures: 0,
      // Once it is removed, nobody knows any more that it is the same token.
      seenAlive: user.seenAlive && !user.tokensAreCleared,
      markedAt: null,
      markedAfterAll: false,
      verifyAt: null,
      tokensAreCleared: false,
      heldSince: null,
    });
  }
}

/** The sweeper's purge, after the grace period. */
class ClearDeadGrants implements Command {
  check = () => true;
  toString = () => 'clear dead grants';

  async run(model: Model): Promise<void> {
    const cleared = model.isOpen
      ? []
      : model.users.filter(
          (user) =>
            user.markedAt !== null &&
            user.markedAt <= model.now - GRACE &&
            user.claimableAt <= model.now &&
            !user.tokensAreCleared,
        );
    expect(await database.call('spotify_clear_dead_grants', { grace: '1 day', batch_size: 100 })).toEqual({
      cleared: cleared.length,
      refused: [],
      done: true,
    });
    for (const user of cleared) Object.assign(user, { tokensAreCleared: true, verifyAt: null, lease: null });
  }
}

/** What an operator does after a wave that was believed. */
class Restore implements Command {
  check = () => true;
  toString = () => 'restore marks';

  async run(model: Model): Promise<void> {
    const restored = model.users.filter((user) => user.markedAt !== null && !user.tokensAreCleared);
    expect(await database.call('spotify_restore_connections', { since: '-infinity' })).toBe(restored.length);
    for (const user of restored)
      Object.assign(user, { markedAt: null, markedAfterAll: false, verifyAt: null, failures: 0 });
  }
}

class LetTimePass implements Command {
  readonly #seconds: number;

  constructor(seconds: number) {
    this.#seconds = seconds;
  }

  check = () => true;
  toString = () => `let ${this.#seconds} s pass`;

  async run(model: Model): Promise<void> {
    await database.letTimePassForAll(`${this.#seconds} seconds`);
    model.now += this.#seconds;
    if (this.#seconds > HOUR) model.refreshes = 0;
  }
}

/** After every command, what is stored is what the model says. */
function andAgree(command: Command): Command {
  return {
    check: (model) => command.check(model),
    toString: () => command.toString(),
    async run(model, real) {
      // What happens later is later, if only just.
      model.now += 0.001;
      await command.run(model, real);
      const rows = await database.owner<{ user_id: string }>(
        `select c.user_id, c.failures, c.lease_id, c.held_since is not null as is_held,
           c.reauthorization_required_since is not null as is_marked,
           c.due_at is not null as is_queued, c.seen_alive, c.marked_after_all, c.verify_at is not null as is_to_verify, p.spotify_refresh_token is not null as has_token
         from spotify_auth.connections c join public.profiles p on p.id = c.user_id`,
      );
      expect(rows.toSorted((one, other) => one.user_id.localeCompare(other.user_id))).toEqual(
        model.users
          .map((user, index) => ({
            user_id: real.ids[index] ?? '',
            failures: user.failures,
            lease_id: user.lease?.lease_id ?? null,
            is_held: user.heldSince !== null,
            is_marked: user.markedAt !== null,
            is_queued: user.markedAt === null,
            seen_alive: user.seenAlive,
            marked_after_all: user.markedAfterAll,
            is_to_verify: user.verifyAt !== null,
            has_token: !user.tokensAreCleared,
          }))
          .toSorted((one, other) => one.user_id.localeCompare(other.user_id)),
      );
    },
  };
}

const outcome = fc.constantFrom<Outcome>(
  'refreshed',
  'revoked',
  'revoked',
  'revoked',
  'revoked',
  'unavailable',
);
const outcomes = fc.oneof(
  // A wave, and what a batch looks like otherwise.
  fc
    .constantFrom<Outcome>('revoked', 'revoked', 'refreshed')
    .map((each) => new Map(Array.from({ length: USERS }, (_, index) => [index, each]))),
  fc
    .uniqueArray(fc.tuple(fc.nat(USERS - 1), outcome), {
      minLength: 1,
      maxLength: USERS,
      selector: ([index]) => index,
    })
    .map((pairs) => new Map(pairs)),
);
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 5, arbitrary: fc.constant(new Claim()) },
  { weight: 6, arbitrary: outcomes.map((each) => new Record(each)) },
  { weight: 2, arbitrary: fc.nat(USERS - 1).map((index) => new Reconnect(index)) },
  { weight: 4, arbitrary: fc.constantFrom(...STEPS).map((seconds) => new LetTimePass(seconds)) },
  { weight: 2, arbitrary: fc.constant(new ClearDeadGrants()) },
  { weight: 1, arbitrary: fc.constant(new Restore()) },
);

test('opening, holding, undoing, believing after all, verifying and closing follow the model, in any order', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...POPULATIONS),
      fc.constantFrom(0, 1_000),
      fc.commands([command.map(andAgree)], { maxCommands: 60, size: 'max' }),
      async (population, refreshes, commands) => {
        await database.clear();
        await database.populate(population, refreshes);
        const ids = await Promise.all(
          Array.from({ length: USERS }, (_, index) =>
            database.createUser({
              access: 'access',
              refresh: ownToken,
              expires: 60,
              connectedAt: index === OLD_USER ? '2026-01-01' : null,
            }),
          ),
        );
        await database.owner('update spotify_auth.connections set seen_alive = user_id <> $1', [
          ids[UNKNOWN_USER],
        ]);
        const setup = () => ({
          model: {
            now: 0,
            isOpen: false,
            closedAt: null,
            population,
            refreshes,
            users: ids.map((_, index) => ({
              expiresAt: 60,
              lease: null,
              leasedAt: 0,
              claimableAt: 0,
              attemptedAt: Number.NEGATIVE_INFINITY,
              failures: 0,
              seenAlive: index !== UNKNOWN_USER,
              markedAt: null,
              markedAfterAll: false,
              verifyAt: null,
              tokensAreCleared: false,
              heldSince: null,
            })),
          },
          real: { ids },
        });
        await fc.asyncModelRun(setup, commands);
      },
    ),
    { numRuns: 100 },
  );
  for (const [event, times] of Object.entries(seen)) expect([event, times > 0]).toEqual([event, true]);
});
