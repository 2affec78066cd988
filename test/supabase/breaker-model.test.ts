import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type LeaseRow, TestDatabase } from './database.ts';

const USERS = 6;
/** One of them authorized so long ago that Spotify's six months may be over. */
const OLD_USER = 0;

const SWEEP_WINDOW = 2_400;
const LEASE = 300;
const BACKOFF = 60;
const FLOOR = 30;
const TOKEN_LIFE = 3_600;
const EVIDENCE_WINDOW = 20 * 60;
const DAY = 24 * 3_600;
const GRACE = DAY;

/**
 * Time only passes in steps like these: no sum of them comes near the 20 minutes of the breaker's window, in which
 * the database counts by the minute.
 */
const STEPS = [420, 90_000];

/** One user, in seconds since the beginning. */
type User = {
  expiresAt: number;
  lease: LeaseRow | null;
  leasedAt: number;
  claimableAt: number;
  attemptedAt: number;
  failures: number;
  markedAt: number | null;
  markedAfterAll: boolean;
  tokensAreCleared: boolean;
  heldSince: number | null;
  attemptCountedAt: number | null;
  revocationCountedAt: number | null;
};

/** The rules of the revocation breaker. */
type Model = {
  now: number;
  isOpen: boolean;
  /** What the breaker has counted, and when. */
  counted: { readonly at: number; readonly attempted: number; readonly revoked: number }[];
  readonly users: User[];
};

type Real = { readonly ids: readonly string[] };
type Command = fc.AsyncCommand<Model, Real>;

let database: TestDatabase;

beforeAll(async () => {
  database = await TestDatabase.start();
});
afterAll(() => database.stop());

function isRecent(model: Model, moment: number | null, seconds: number): boolean {
  return moment !== null && moment > model.now - seconds;
}

/** Takes leases on all that are due and free. */
class Claim implements Command {
  check = () => true;
  toString = () => 'claim';

  async run(model: Model, real: Real): Promise<void> {
    const { claims } = await database.claim();
    const expected = model.users.flatMap((user, index) =>
      user.markedAt === null && user.expiresAt <= model.now + SWEEP_WINDOW && user.claimableAt <= model.now
        ? [real.ids[index]]
        : [],
    );
    expect(claims.map(({ user_id }) => user_id).sort()).toEqual(expected.sort());
    for (const claim of claims) {
      const user = model.users[real.ids.indexOf(claim.user_id)] as User;
      user.lease = claim;
      user.leasedAt = model.now;
      user.attemptedAt = model.now;
      user.claimableAt = model.now + LEASE;
    }
  }
}

/** Records the same outcome for some of those who hold leases, as one batch. */
class Record implements Command {
  readonly #outcome: 'refreshed' | 'revoked' | 'unavailable';
  readonly #indexes: readonly number[];

  constructor(outcome: 'refreshed' | 'revoked' | 'unavailable', indexes: readonly number[]) {
    this.#outcome = outcome;
    this.#indexes = indexes;
  }

  check = () => true;
  toString = () => `record(${this.#outcome}, users ${this.#indexes})`;

  async run(model: Model): Promise<void> {
    const batch = this.#indexes.flatMap((index) => {
      const user = model.users[index] as User;
      return user.lease === null ? [] : [{ index, user, lease: user.lease }];
    });
    const recorded = await database.recordAll(
      batch.map(({ user, lease }) => ({
        user_id: lease.user_id,
        lease_id: lease.lease_id,
        leased_at: new Date(Date.parse(lease.leased_at) - (model.now - user.leasedAt) * 1_000).toISOString(),
        outcome: this.#outcome,
        used_refresh_token: lease.refresh_token,
        retry_after: BACKOFF,
        ...(this.#outcome === 'refreshed' && { access_token: 'new', expires_in: TOKEN_LIFE }),
      })),
    );
    const wasOpen = model.isOpen;
    const wereHeld = batch.some(({ user }) => user.heldSince !== null);
    for (const { index, user, lease } of batch) {
      const verdict = this.#settle(model, user, index === OLD_USER, wasOpen);
      expect(recorded.verdicts).toContainEqual({ user_id: lease.user_id, lease_id: lease.lease_id, verdict });
    }
    const isNews = this.#outcome === 'revoked' && batch.length > 0;
    if (wasOpen || isNews) judge(model, this.#outcome === 'refreshed' && wereHeld);
    expect(recorded.breaker_is_open).toBe(model.isOpen);
  }

  #settle(model: Model, user: User, isOld: boolean, breakerIsOpen: boolean): 'applied' | 'held' {
    user.lease = null;
    user.claimableAt = model.now;
    if (this.#outcome === 'unavailable') {
      user.failures += 1;
      user.claimableAt = model.now + BACKOFF;
      return 'applied';
    }
    const isNewAttempt = !isRecent(model, user.attemptCountedAt, EVIDENCE_WINDOW);
    const isNewRevocation =
      this.#outcome === 'revoked' &&
      !isOld &&
      user.heldSince === null &&
      !isRecent(model, user.revocationCountedAt, EVIDENCE_WINDOW);
    if (isNewAttempt) user.attemptCountedAt = model.now;
    if (isNewRevocation) user.revocationCountedAt = model.now;
    model.counted.push({ at: model.now, attempted: Number(isNewAttempt), revoked: Number(isNewRevocation) });

    if (this.#outcome === 'refreshed') {
      user.failures = 0;
      user.heldSince = null;
      user.expiresAt = user.leasedAt + TOKEN_LIFE;
      return 'applied';
    }
    if (breakerIsOpen && (user.heldSince === null || isRecent(model, user.heldSince, DAY))) {
      user.heldSince ??= model.now;
      user.failures += 1;
      user.claimableAt = model.now + BACKOFF;
      return 'held';
    }
    user.markedAt = model.now;
    user.markedAfterAll = breakerIsOpen;
    user.heldSince = null;
    return 'applied';
  }
}

/** Opens or closes the breaker; while it is open, recent marks are undone. */
function judge(model: Model, heldGrantLives: boolean): void {
  const recent = model.counted.filter(({ at }) => isRecent(model, at, EVIDENCE_WINDOW));
  const attempted = recent.reduce((sum, each) => sum + each.attempted, 0);
  const revoked = recent.reduce((sum, each) => sum + each.revoked, 0);
  const isEvident = revoked >= Math.max(3, 0.02 * attempted);
  const nobodyIsHeld = model.users.every(({ heldSince }) => heldSince === null);
  if (isEvident) model.isOpen = true;
  else if (heldGrantLives || nobodyIsHeld) model.isOpen = false;
  if (!model.isOpen) return;
  for (const user of model.users) {
    if (isRecent(model, user.markedAt, EVIDENCE_WINDOW) && !user.markedAfterAll && !user.tokensAreCleared) {
      user.markedAt = null;
      user.heldSince = model.now;
      user.claimableAt = model.now + 60;
    }
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
      access: `access-${model.now}-${model.counted.length}`,
      refresh: 'refresh',
      expires: 60,
    });
    Object.assign(model.users[this.#index] as User, {
      expiresAt: model.now + 60,
      lease: null,
      claimableAt: (model.users[this.#index]?.attemptedAt ?? 0) + FLOOR,
      failures: 0,
      markedAt: null,
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
          (user) => user.markedAt !== null && user.markedAt <= model.now - GRACE && !user.tokensAreCleared,
        );
    expect(await database.call('spotify_clear_dead_grants', { grace: '1 day', batch_size: 100 })).toBe(
      cleared.length,
    );
    for (const user of cleared) user.tokensAreCleared = true;
  }
}

/** What an operator does after a wave that was believed. */
class Restore implements Command {
  check = () => true;
  toString = () => 'restore marks';

  async run(model: Model): Promise<void> {
    const restored = model.users.filter((user) => user.markedAt !== null && !user.tokensAreCleared);
    expect(await database.call('spotify_restore_connections', { since: '-infinity' })).toBe(restored.length);
    for (const user of restored) Object.assign(user, { markedAt: null, markedAfterAll: false, failures: 0 });
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
  }
}

/** After every command, what is stored is what the model says. */
function andAgree(command: Command): Command {
  return {
    check: (model) => command.check(model),
    toString: () => command.toString(),
    async run(model, real) {
      await command.run(model, real);
      const rows = await database.owner<{ user_id: string }>(
        `select c.user_id, c.failures, c.lease_id, c.held_since is not null as is_held,
           c.reauthorization_required_since is not null as is_marked,
           c.due_at is not null as is_queued, p.spotify_refresh_token is not null as has_token
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
            has_token: !user.tokensAreCleared,
          }))
          .toSorted((one, other) => one.user_id.localeCompare(other.user_id)),
      );
    },
  };
}

const someUsers = fc.uniqueArray(fc.nat(USERS - 1), { minLength: 1, maxLength: USERS });
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 5, arbitrary: fc.constant(new Claim()) },
  {
    weight: 6,
    arbitrary: fc
      .tuple(fc.constantFrom('refreshed', 'revoked', 'revoked', 'revoked', 'unavailable'), someUsers)
      .map(([outcome, indexes]) => new Record(outcome as 'refreshed', indexes)),
  },
  { weight: 3, arbitrary: fc.nat(USERS - 1).map((index) => new Reconnect(index)) },
  { weight: 4, arbitrary: fc.constantFrom(...STEPS).map((seconds) => new LetTimePass(seconds)) },
  { weight: 2, arbitrary: fc.constant(new ClearDeadGrants()) },
  { weight: 1, arbitrary: fc.constant(new Restore()) },
);

test('opening, holding, undoing, marking after all and closing follow the model, in any order', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.commands([command.map(andAgree)], { maxCommands: 60, size: 'max' }),
      async (commands) => {
        await database.clear();
        await database.owner('truncate spotify_auth.breaker_minutes');
        const ids = await Promise.all(
          Array.from({ length: USERS }, (_, index) =>
            database.createUser({
              access: 'access',
              refresh: 'refresh',
              expires: 60,
              connectedAt: index === OLD_USER ? '2026-01-01' : null,
            }),
          ),
        );
        const setup = () => ({
          model: {
            now: 0,
            isOpen: false,
            counted: [],
            users: ids.map(() => ({
              expiresAt: 60,
              lease: null,
              leasedAt: 0,
              claimableAt: 0,
              attemptedAt: Number.NEGATIVE_INFINITY,
              failures: 0,
              markedAt: null,
              markedAfterAll: false,
              tokensAreCleared: false,
              heldSince: null,
              attemptCountedAt: null,
              revocationCountedAt: null,
            })),
          },
          real: { ids },
        });
        await fc.asyncModelRun(setup, commands);
      },
    ),
    { numRuns: 80 },
  );
});
