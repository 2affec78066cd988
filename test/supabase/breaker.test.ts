import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import {
  type Json,
  type LeaseRow,
  ownToken,
  type Recorded,
  refreshed,
  type SpotifyColumns,
  TestDatabase,
  tokenOf,
} from './database.ts';

const expiring = { access: 'access', refresh: ownToken, expires: 60, connectedAt: daysAgo(20) } as const;

/** Of 1,000 connections 10 are enough to open the breaker, 4 to keep it from closing, and 40 are many. */
const thousand = 1_000;

let database: TestDatabase;

beforeAll(async () => {
  database = await TestDatabase.start();
});
beforeEach(async () => {
  await database.clear();
  // Few enough for five refusals to count, and so many refreshes that it is not about our client.
  await database.populate(500, 1_000);
});
afterAll(() => database.stop());

function daysAgo(days: number): string {
  return new Date(Date.now() - days * 24 * 3_600_000).toISOString();
}

async function createUsers(count: number, columns: SpotifyColumns = expiring): Promise<string[]> {
  const users: string[] = [];
  for (let index = 0; index < count; index += 1) users.push(await database.createUser(columns));
  return users;
}

/** A lease on each, whichever others are due. */
async function lease(users: readonly string[]): Promise<LeaseRow[]> {
  const checks = await Promise.all(users.map((user) => database.check(user, null, '5 minutes')));
  return checks.map((check) => check.lease as LeaseRow);
}

/** Users whose grant this system has refreshed, with a lease on each. */
async function leaseLivingUsers(count: number, columns: SpotifyColumns = expiring): Promise<LeaseRow[]> {
  const users = await createUsers(count, columns);
  const leases = await lease(users);
  await database.recordAll(leases.map((each) => ({ ...each, ...refreshed(each), expires_in: 60 })));
  return lease(users);
}

/** Users whose grant this system has never refreshed, with a lease on each. */
async function leaseUnknownUsers(count: number, columns: SpotifyColumns = expiring): Promise<LeaseRow[]> {
  return lease(await createUsers(count, columns));
}

function refusalOf(lease: LeaseRow, reason = 'revoked'): Json {
  return {
    ...lease,
    outcome: 'revoked',
    reason,
    used_refresh_token: lease.refresh_token,
    retry_after: 45,
  };
}

function refuse(leases: readonly LeaseRow[], reason?: string): Promise<Recorded> {
  return database.recordAll(leases.map((lease) => refusalOf(lease, reason)));
}

function succeed(leases: readonly LeaseRow[]): Promise<Recorded> {
  return database.recordAll(leases.map((lease) => ({ ...lease, ...refreshed(lease) })));
}

function usersOf(leases: readonly LeaseRow[]): string[] {
  return leases.map(({ user_id }) => user_id);
}

/** Lets time pass for these, and takes a lease on each again. */
async function leaseAgainAfter(interval: string, users: readonly string[]): Promise<LeaseRow[]> {
  for (const user of users) await database.letTimePass(user, interval);
  return lease(users);
}

/** Of these, how many are marked dead, and how many are refused without being believed. */
async function count(leases: readonly LeaseRow[]): Promise<{ dead: number; held: number }> {
  const [row] = await database.owner<{ dead: number; held: number }>(
    `select count(reauthorization_required_since)::int as dead, count(held_since)::int as held
      from spotify_auth.connections where user_id = any ($1)`,
    [usersOf(leases)],
  );
  return row as { dead: number; held: number };
}

async function isOpen(): Promise<boolean> {
  const [state] = await database.owner<{ isOpen: boolean }>(
    'select breaker_opened_at is not null as "isOpen" from spotify_auth.shared_state',
  );
  return state?.isOpen === true;
}

function verdictsOf({ verdicts }: Recorded): string[] {
  return verdicts.map(({ verdict }) => verdict);
}

/** As many living grants as it takes are refused: they are held. */
async function openBreaker(population = 500): Promise<LeaseRow[]> {
  await database.populate(population, 1_000);
  const leases = await leaseLivingUsers(Math.max(5, Math.ceil(population / 100)));
  expect(await refuse(leases)).toMatchObject({ breaker_is_open: true });
  return leases;
}

/** Anything at all that is recorded makes the breaker be judged while it is open. */
async function recordAnything(): Promise<boolean> {
  const [one] = (await leaseUnknownUsers(1)) as [LeaseRow];
  return (await database.recordAll([{ ...one, outcome: 'released' }])).breaker_is_open;
}

describe('the breaker opens', () => {
  test.each([0, 6, 500])(
    'of %i connections for the fifth that is refused, not for the fourth',
    async (all) => {
      await database.populate(all, 1_000);
      const leases = await leaseLivingUsers(5);

      expect(await refuse(leases.slice(0, 4))).toMatchObject({ breaker_is_open: false });
      expect(await count(leases)).toEqual({ dead: 4, held: 0 });
      expect(await refuse(leases.slice(4))).toMatchObject({ breaker_is_open: true });
    },
  );

  test.each([
    [501, 6],
    [600, 6],
    [1_000, 10],
    [1_001, 11],
  ])('of %i connections for the one with which it is 1 %%: number %i', async (all, enough) => {
    await database.populate(all, 1_000);
    const leases = await leaseLivingUsers(enough);

    expect(await refuse(leases.slice(1))).toMatchObject({ breaker_is_open: false });
    expect(await refuse(leases.slice(0, 1))).toMatchObject({ breaker_is_open: true });
  });

  test('for refusals within 30 minutes, in one batch or in several', async () => {
    const leases = await leaseLivingUsers(5);
    await refuse(leases.slice(0, 2));
    await refuse(leases.slice(2, 4));
    for (const user of usersOf(leases.slice(0, 4))) await database.letTimePass(user, '29 minutes');

    expect(await refuse(leases.slice(4))).toMatchObject({ breaker_is_open: true });
  });

  test('not for refusals that are further apart', async () => {
    const leases = await leaseLivingUsers(5);
    await refuse(leases.slice(0, 4));
    for (const user of usersOf(leases.slice(0, 4))) await database.letTimePass(user, '30 minutes');

    expect(await refuse(leases.slice(4))).toMatchObject({ breaker_is_open: false });
    expect(await count(leases)).toEqual({ dead: 5, held: 0 });
  });

  test('not for grants that this system has never refreshed: any user can write dead tokens', async () => {
    const leases = await leaseUnknownUsers(10);

    expect(await refuse(leases)).toMatchObject({ breaker_is_open: false });
    expect(await count(leases)).toEqual({ dead: 10, held: 0 });
  });

  test('not for refresh tokens that were written from outside since', async () => {
    const users = usersOf(await leaseLivingUsers(10));
    for (const user of users) await database.writeProfile(user, { refresh: `forged-${user}` });

    expect(await refuse(await leaseAgainAfter('31 seconds', users))).toMatchObject({
      breaker_is_open: false,
    });
  });

  test('even if the rest of the profile was written from outside since', async () => {
    const users = usersOf(await leaseLivingUsers(5));
    for (const user of users) await database.writeProfile(user, { access: 'another', expires: 30 });

    expect(await refuse(await leaseAgainAfter('31 seconds', users))).toMatchObject({ breaker_is_open: true });
  });

  test('for a new refresh token that Spotify gave to this system', async () => {
    const leases = await leaseLivingUsers(5);
    await database.recordAll(
      leases.map((each) => ({ ...each, ...refreshed(each, `next-${each.user_id}`), expires_in: 60 })),
    );

    expect(await refuse(await lease(usersOf(leases)))).toMatchObject({ breaker_is_open: true });
  });

  test.each([
    ['of 179 days', daysAgo(179), 'expired', true],
    ['of 181 days: they end by themselves', daysAgo(181), 'revoked', false],
    ['of unknown age', null, 'revoked', true],
    ['of unknown age, which Spotify calls expired', null, 'expired', false],
  ])('by grants %s: %s, %s', async (_, connectedAt, reason, opens) => {
    const leases = await leaseLivingUsers(5, { ...expiring, connectedAt });

    expect(await refuse(leases, reason)).toMatchObject({ breaker_is_open: opens });
    expect(await count(leases)).toEqual(opens ? { dead: 0, held: 5 } : { dead: 5, held: 0 });
  });

  test('not for one user, however often', async () => {
    const [first] = (await leaseLivingUsers(1)) as [LeaseRow];
    await refuse([first]);
    for (let round = 0; round < 5; round += 1) {
      // With the same refresh token: it stays one that this system has seen alive.
      await database.writeProfile(first.user_id, { access: `access-${round}` });
      const again = await leaseAgainAfter('31 seconds', [first.user_id]);
      expect(await refuse(again)).toMatchObject({
        breaker_is_open: false,
        verdicts: [{ verdict: 'applied' }],
      });
    }
  });

  test('not for a call that is repeated', async () => {
    const leases = await leaseLivingUsers(4);
    await refuse(leases);

    for (let repetition = 0; repetition < 3; repetition += 1) {
      const repeated = await refuse(leases);
      expect(repeated).toMatchObject({ breaker_is_open: false });
      expect(new Set(verdictsOf(repeated))).toEqual(new Set(['already_applied']));
    }
    expect(await count(leases)).toEqual({ dead: 4, held: 0 });
  });

  test('not for outcomes that came too late', async () => {
    const leases = await leaseLivingUsers(6);
    for (const user of usersOf(leases)) await database.writeProfile(user, { access: 'from outside' });

    const recorded = await refuse(leases);

    expect(recorded).toMatchObject({ breaker_is_open: false });
    expect(new Set(verdictsOf(recorded))).toEqual(new Set(['stale']));
  });

  test('not for marks whose tokens are gone', async () => {
    const leases = await leaseLivingUsers(5);
    await refuse(leases.slice(0, 4));
    await database.call('spotify_clear_dead_grants', { grace: '0 seconds', batch_size: 10 });

    expect(await refuse(leases.slice(4))).toMatchObject({ breaker_is_open: false });
  });

  test('not for marks that an outside write has taken away', async () => {
    const leases = await leaseLivingUsers(5);
    await refuse(leases.slice(0, 4));
    await database.writeProfile(leases[0]?.user_id ?? '', { access: 'reconnected' });

    expect(await refuse(leases.slice(4))).toMatchObject({ breaker_is_open: false });
  });
});

describe('as it opens, the marks of the last 30 minutes are undone', () => {
  test('whatever kind of grant they are on: refused since then, and asked again a minute from now', async () => {
    const leases = [
      ...(await leaseUnknownUsers(1)),
      ...(await leaseLivingUsers(1, { ...expiring, connectedAt: daysAgo(190) })),
    ];
    await refuse(leases);
    for (const user of usersOf(leases)) await database.letTimePass(user, '29 minutes');
    const marks = await database.owner<Json>(
      'select user_id, reauthorization_required_since as since from spotify_auth.connections order by user_id',
    );

    leases.push(...(await openBreaker()));

    expect(await count(leases)).toEqual({ dead: 0, held: 7 });
    const held = await database.owner(
      'select user_id, held_since as since from spotify_auth.connections where user_id = any ($1) order by user_id',
      [marks.map(({ user_id }) => user_id)],
    );
    expect(held).toEqual(marks);
    for (const { user_id, refresh_token } of leases) {
      expect(await database.check(user_id)).toMatchObject({
        state: 'backing_off',
        revoked: true,
        retry_in: expect.closeTo(60, -1),
      });
      expect(await database.profile(user_id)).toMatchObject({ spotify_refresh_token: refresh_token });
    }
    for (const user of usersOf(leases)) await database.letTimePass(user, '61 seconds');
    expect((await database.claim()).claims).toHaveLength(7);
  });

  test('and no older ones, nor those of users without a refresh token', async () => {
    const old = await leaseLivingUsers(1);
    await refuse(old);
    await database.letTimePass(old[0]?.user_id ?? '', '31 minutes');
    const without = await database.createUser({ access: 'access', expires: 60 });

    await openBreaker();

    expect(await count(old)).toEqual({ dead: 1, held: 0 });
    expect(await database.connection(without)).toMatchObject({
      reauthorization_reason: 'no_refresh_token',
      held_since: null,
    });
  });

  test('but one whose row is locked: that one with the next call', async () => {
    const leases = await leaseLivingUsers(5);
    await refuse(leases.slice(0, 4));
    const holder = await database.hold('select from spotify_auth.connections where user_id = $1 for update', [
      leases[0]?.user_id,
    ]);
    expect(await refuse(leases.slice(4))).toMatchObject({ breaker_is_open: true });
    expect(await count(leases)).toEqual({ dead: 1, held: 4 });

    await holder.commit();
    await recordAnything();

    expect(await count(leases)).toEqual({ dead: 0, held: 5 });
  });

  test('a few thousand with each call, and it stays open until all are', async () => {
    await database.bypassingTriggers(
      `with new as (
        insert into public.profiles (id, spotify_refresh_token)
          select id, 'refresh-' || id from (select gen_random_uuid() as id from generate_series(1, 12000)) ids returning id
      )
      insert into spotify_auth.connections (user_id, seen_alive, reauthorization_required_since, reauthorization_reason, verify_at)
        select id, true, now(), 'grant_revoked', now() + interval '1 hour' from new`,
    );
    await database.populate(1_200_000, 1_000_000);
    const marks = async () =>
      (await database.owner('select from spotify_auth.connections where reauthorization_reason is not null'))
        .length;

    await refuse(await leaseLivingUsers(1));
    const left = [await marks()];
    while ((left.at(-1) ?? 0) > 0 && (await recordAnything())) left.push(await marks());

    expect(left).toEqual([7_001, 2_001, 0]);
    expect(await isOpen()).toBe(true);
  });
});

describe('while the breaker is open', () => {
  test('a refused grant is held, and asked about again with backoff', async () => {
    await openBreaker();
    const [one] = (await leaseUnknownUsers(1)) as [LeaseRow];

    expect((await refuse([one])).verdicts).toEqual([
      { user_id: one.user_id, lease_id: one.lease_id, verdict: 'held' },
    ]);

    expect(await database.check(one.user_id)).toMatchObject({
      state: 'backing_off',
      revoked: true,
      retry_in: expect.closeTo(45, -1),
    });
    expect(await database.connection(one.user_id)).toMatchObject({
      failures: 1,
      revocation_reason: 'revoked',
    });
    const [again] = await leaseAgainAfter('46 seconds', [one.user_id]);
    expect(again).toMatchObject({ refresh_token: tokenOf(one.user_id), failures: 1 });
  });

  test('a repeated call changes nothing', async () => {
    await openBreaker();
    const leases = await leaseUnknownUsers(1);
    await refuse(leases);
    const before = await database.rowsOnDisk(leases[0]?.user_id ?? '');

    expect(verdictsOf(await refuse(leases))).toEqual(['already_applied']);

    expect(await database.rowsOnDisk(leases[0]?.user_id ?? '')).toEqual(before);
  });

  test('a refusal is believed after all when it has lasted for the sweep window, as long as few are held', async () => {
    const users = usersOf(await openBreaker(thousand));

    const early = await refuse(await leaseAgainAfter('39 minutes', users));
    expect(new Set(verdictsOf(early))).toEqual(new Set(['held']));

    const [first = '', ...others] = users;
    expect(verdictsOf(await refuse(await leaseAgainAfter('1 minute', [first])))).toEqual(['applied']);
    expect(await database.check(first)).toMatchObject({ state: 'reauthorization_required', revoked: true });
    expect(await count(await leaseAgainAfter('1 minute', others))).toEqual({ dead: 0, held: 9 });
  });

  test.each([
    [39, 'applied'],
    [40, 'held'],
  ])('with %i of 1,000 held, a refusal of 40 minutes is %s', async (all, verdict) => {
    const held = await openBreaker(thousand);
    held.push(...(await leaseUnknownUsers(all - held.length)));
    await refuse(held.slice(10));
    expect(await count(held)).toEqual({ dead: 0, held: all });
    const one = usersOf(held.slice(0, 1));

    expect(verdictsOf(await refuse(await leaseAgainAfter('40 minutes', one)))).toEqual([verdict]);
  });

  test.each([
    [19, 'applied'],
    [20, 'held'],
  ])(
    'with %i of 1,000 held and 20 believed after all, a refusal of 40 minutes is %s',
    async (all, verdict) => {
      const believed = [...(await openBreaker(thousand)), ...(await leaseUnknownUsers(10))];
      await refuse(believed.slice(10));
      await refuse(await leaseAgainAfter('40 minutes', usersOf(believed)));
      expect(await count(believed)).toEqual({ dead: 20, held: 0 });
      const held = await openBreaker(thousand);
      held.push(...(await leaseUnknownUsers(all - held.length)));
      await refuse(held.slice(10));

      const one = usersOf(held.slice(0, 1));
      expect(verdictsOf(await refuse(await leaseAgainAfter('40 minutes', one)))).toEqual([verdict]);
    },
  );

  test('once it has been open for the sweep window, all have been asked: 20 minutes are enough', async () => {
    const first = await openBreaker(thousand);
    await database.owner(
      "update spotify_auth.shared_state set breaker_opened_at = now() - interval '40 minutes'",
    );
    const [later] = (await leaseLivingUsers(1)) as [LeaseRow];
    expect(verdictsOf(await refuse([later]))).toEqual(['held']);

    expect(verdictsOf(await refuse(await leaseAgainAfter('19 minutes', usersOf([later]))))).toEqual(['held']);
    expect(verdictsOf(await refuse(await leaseAgainAfter('1 minute', usersOf([later]))))).toEqual([
      'applied',
    ]);
    expect(await count(first)).toEqual({ dead: 0, held: 10 });
  });

  test('a held grant is asked about when patience ends, and every 15 minutes before that', async () => {
    const [user = ''] = usersOf(await openBreaker(thousand));
    const secondsToNextAttempt = async (held: string) => {
      const [again] = (await leaseAgainAfter(held, [user])) as [LeaseRow];
      await database.recordAll([{ ...refusalOf(again), retry_after: 1_800 }]);
      const [row] = await database.owner<{ seconds: number }>(
        'select extract(epoch from claimable_at - now())::float as seconds from spotify_auth.connections where user_id = $1',
        [user],
      );
      return Math.round((row?.seconds ?? 0) / 60) * 60;
    };

    expect(await secondsToNextAttempt('2 minutes')).toBe(15 * 60);
    expect(await secondsToNextAttempt('28 minutes')).toBe(10 * 60);
    expect(verdictsOf(await refuse(await leaseAgainAfter('10 minutes', [user])))).toEqual(['applied']);
  });

  test('a refusal is believed after a day, however many are held', async () => {
    // 4 % of 100 are fewer than it takes to open it.
    const users = usersOf(await openBreaker(100));

    const early = await refuse(await leaseAgainAfter('23 hours 59 minutes', users));
    expect(new Set(verdictsOf(early))).toEqual(new Set(['held']));
    // Otherwise nearly all would be refused: the successes of a day ago no longer count.
    await database.populate(100, 1_000);
    const late = await refuse(await leaseAgainAfter('1 minute', users));
    expect(new Set(verdictsOf(late))).toEqual(new Set(['applied']));
  });

  test('what is believed after all is neither undone again nor evidence', async () => {
    const held = await openBreaker(thousand);
    const { breaker_is_open } = await refuse(await leaseAgainAfter('40 minutes', usersOf(held)));
    expect(breaker_is_open).toBe(false);

    expect(await refuse(await leaseLivingUsers(1))).toMatchObject({ breaker_is_open: false });
    expect(await count(held)).toEqual({ dead: 10, held: 0 });

    // Nor when others open it.
    await openBreaker(thousand);
    expect(await count(held)).toEqual({ dead: 10, held: 0 });
  });

  test.each(['throttled', 'unavailable', 'rejected', 'released', 'client_rejected'])(
    'an answer that says nothing of the grant leaves it held: %s',
    async (outcome) => {
      const held = await openBreaker();
      const users = usersOf(held);
      const [one] = (await leaseAgainAfter('2 minutes', users.slice(0, 1))) as [LeaseRow];
      const before = await database.connection(one.user_id);

      await database.record(one, { outcome, retry_after: 30 });

      expect(await database.connection(one.user_id)).toMatchObject({
        held_since: before?.['held_since'],
        reauthorization_required_since: null,
        due_at: expect.any(Date),
      });
    },
  );

  test('no token of a dead grant is removed', async () => {
    const old = await leaseLivingUsers(1);
    await refuse(old);
    await database.letTimePass(old[0]?.user_id ?? '', '8 days');
    await openBreaker();
    const clear = () => database.call('spotify_clear_dead_grants', { grace: '7 days', batch_size: 10 });

    expect(await clear()).toEqual({ cleared: 0, refused: [], done: true });
    await database.owner('update spotify_auth.shared_state set breaker_opened_at = null');
    expect(await clear()).toEqual({ cleared: 1, refused: [], done: true });
  });

  test('successes are stored as ever', async () => {
    await openBreaker();
    const leases = await leaseUnknownUsers(1);

    expect(verdictsOf(await succeed(leases))).toEqual(['applied']);
  });

  test('the statistics say so', async () => {
    await openBreaker();

    expect(await database.call('spotify_connection_stats')).toMatchObject({
      connected: 5,
      held: 5,
      breaker_open_seconds: expect.any(Number),
      nearly_all_revoked: false,
      waiting_for_reauthorization: 0,
    });
  });

  test('a held connection is released by a write from outside', async () => {
    const [first] = (await openBreaker()) as [LeaseRow];
    await database.writeProfile(first.user_id, { ...expiring, refresh: 'renewed' });

    expect(await database.connection(first.user_id)).toMatchObject({
      held_since: null,
      revocation_reason: null,
      seen_alive: false,
      failures: 0,
    });
  });

  test('a held grant that turns out to live is as if nothing had been', async () => {
    const users = usersOf(await openBreaker());

    await succeed(await leaseAgainAfter('2 minutes', users.slice(0, 1)));

    expect(await database.connection(users[0] ?? '')).toMatchObject({
      held_since: null,
      revocation_reason: null,
      failures: 0,
      seen_alive: true,
    });
  });
});

describe('the breaker closes', () => {
  test.each([
    [500, 3, 2],
    [thousand, 5, 4],
    [1_100, 6, 5],
  ])('of %i connections not while %i are held, but with %i', async (population, stillOpen, closed) => {
    const users = usersOf(await openBreaker(population));
    const healed = await leaseAgainAfter('2 minutes', users);

    expect(await succeed(healed.slice(stillOpen))).toMatchObject({ breaker_is_open: true });
    expect(await succeed(healed.slice(closed, stillOpen))).toMatchObject({ breaker_is_open: false });
    expect(await isOpen()).toBe(false);
  });

  test('other held grants that this system has never refreshed', async () => {
    const living = await openBreaker();
    const unknown = await leaseUnknownUsers(10);
    await refuse(unknown);

    const recorded = await succeed(await leaseAgainAfter('2 minutes', usersOf(living)));

    expect(recorded).toMatchObject({ breaker_is_open: false });
    expect(await count(unknown)).toEqual({ dead: 0, held: 10 });
  });

  test('not because others, who were never held, succeed', async () => {
    await openBreaker();

    expect(await succeed(await leaseUnknownUsers(5))).toMatchObject({ breaker_is_open: true });
  });

  test('when those who were held have renewed their connection, with whatever is recorded next', async () => {
    for (const user of usersOf(await openBreaker())) {
      await database.writeProfile(user, { ...expiring, refresh: `renewed-${user}` });
    }

    expect(await recordAnything()).toBe(false);
  });

  test('and a grant that is still held then is marked dead when it is refused again', async () => {
    const users = usersOf(await openBreaker());
    const again = await leaseAgainAfter('2 minutes', users);
    expect(await succeed(again.slice(2))).toMatchObject({ breaker_is_open: false });

    expect(verdictsOf(await refuse(again.slice(0, 2)))).toEqual(['applied', 'applied']);
    expect(await isOpen()).toBe(false);
  });

  test('and those are evidence no more: together with as many new refusals they do not open it again', async () => {
    const users = usersOf(await openBreaker());
    const again = await leaseAgainAfter('2 minutes', users);
    await succeed(again.slice(2));
    const held = again.slice(0, 2);

    expect(await refuse([...held, ...(await leaseLivingUsers(4))])).toMatchObject({ breaker_is_open: false });
    expect(await count(held)).toEqual({ dead: 2, held: 0 });

    expect(await refuse(await leaseLivingUsers(1))).toMatchObject({ breaker_is_open: true });
    expect(await count(held)).toEqual({ dead: 2, held: 0 });
  });
});

describe('when nearly all grants are refused, it is about us', () => {
  beforeEach(() => database.populate(thousand, 0));

  test('from the fifth on: held, living before or not, and the breaker is not needed for it', async () => {
    const leases = await leaseUnknownUsers(5);

    expect(verdictsOf(await refuse(leases.slice(0, 4)))).toEqual(Array(4).fill('applied'));
    expect(await database.call('spotify_connection_stats')).toMatchObject({ nearly_all_revoked: false });

    // The marks that were made on the way here are undone.
    expect(verdictsOf(await refuse(leases.slice(4)))).toEqual(['held']);
    expect(await count(leases)).toEqual({ dead: 0, held: 5 });
    expect(await isOpen()).toBe(false);
    expect(await database.call('spotify_connection_stats')).toMatchObject({ nearly_all_revoked: true });
  });

  test('in one batch', async () => {
    expect(verdictsOf(await refuse(await leaseUnknownUsers(5)))).toEqual(Array(5).fill('held'));
  });

  test('grants of six months too', async () => {
    const leases = await leaseUnknownUsers(5, { ...expiring, connectedAt: daysAgo(200) });
    expect(verdictsOf(await refuse(leases, 'expired'))).toEqual(Array(5).fill('held'));
  });

  test.each([
    [49, 'applied'],
    [50, 'held'],
  ])('that is, when under 2 %% succeed: beside one success %i refusals are %s', async (all, verdict) => {
    await database.populate(100_000, 1);
    const leases = await leaseUnknownUsers(all);

    expect(new Set(verdictsOf(await refuse(leases)))).toEqual(new Set([verdict]));
  });

  test('counting what is recorded in the same batch', async () => {
    const [success, ...refusals] = (await leaseUnknownUsers(50)) as [LeaseRow, ...LeaseRow[]];

    const recorded = await database.recordAll([
      { ...success, ...refreshed(success) },
      ...refusals.map((lease) => refusalOf(lease)),
    ]);

    expect(new Set(verdictsOf(recorded))).toEqual(new Set(['applied']));
  });

  test('counting the successes of the last hour only', async () => {
    await database.owner(
      `insert into spotify_auth.refreshes_by_minute values (date_trunc('minute', now()) - interval '61 minutes', 1000)`,
    );
    const leases = await leaseUnknownUsers(5);

    expect(new Set(verdictsOf(await refuse(leases)))).toEqual(new Set(['held']));
  });

  test('without counting a grant twice that is refused again', async () => {
    const users = usersOf(await leaseUnknownUsers(30));
    await refuse(await lease(await aged(users, '6 minutes')));
    const again = await leaseAgainAfter('1 minute', users);

    // 30 refusals beside one success; 60 would be nearly all.
    await database.populate(100_000, 1);
    expect(new Set(verdictsOf(await refuse(again)))).toEqual(new Set(['applied']));
  });

  test('no grant is marked dead, however long it lasts', async () => {
    const users = usersOf(await leaseUnknownUsers(5));
    await refuse(await lease(await aged(users, '6 minutes')));

    for (const interval of ['25 hours', '7 days']) {
      const recorded = await refuse(await leaseAgainAfter(interval, users));
      expect(new Set(verdictsOf(recorded))).toEqual(new Set(['held']));
    }
  });

  test('it is over as soon as some succeed: a grant that is refused then is dead', async () => {
    const users = usersOf(await leaseUnknownUsers(6));
    await refuse(await lease(await aged(users, '6 minutes')));
    const again = await leaseAgainAfter('1 minute', users);

    await succeed(again.slice(0, 1));

    expect(await database.call('spotify_connection_stats')).toMatchObject({
      nearly_all_revoked: false,
      held: 5,
    });
    expect(verdictsOf(await refuse(again.slice(1, 2)))).toEqual(['applied']);
    expect(verdictsOf(await succeed(again.slice(2)))).toEqual(Array(4).fill('applied'));
    expect(await count(again)).toEqual({ dead: 1, held: 0 });
  });

  test('those that were alive open the breaker when they are refused again afterwards', async () => {
    const users = usersOf(await leaseLivingUsers(10));
    await database.owner('truncate spotify_auth.refreshes_by_minute');
    expect(await refuse(await lease(await aged(users, '6 minutes')))).toMatchObject({
      breaker_is_open: false,
    });
    await database.populate(thousand, 1_000);

    const again = await leaseAgainAfter('1 minute', users);

    expect(await refuse(again)).toMatchObject({ breaker_is_open: true });
    expect(await count(again)).toEqual({ dead: 0, held: 10 });
  });
});

describe('a mark is verified', () => {
  async function verifyIn(user: string): Promise<number> {
    const [row] = await database.owner<{ seconds: number }>(
      'select extract(epoch from verify_at - now())::float8 as seconds from spotify_auth.connections where user_id = $1',
      [user],
    );
    return row?.seconds ?? Number.NaN;
  }
  const claimed = async (overrides: Json = {}) =>
    (await database.claim(overrides)).claims.map(({ user_id }) => user_id);

  test.each([
    ['that lived', leaseLivingUsers, '59 minutes', '1 minute'],
    ['that this system has never refreshed', leaseUnknownUsers, '23 hours 59 minutes', '1 minute'],
  ] as const)('on a grant %s: not before it is due, and then by a sweep', async (_, create, before, rest) => {
    const leases = await create(1);
    const [user = ''] = usersOf(leases);
    await refuse(leases);

    await database.letTimePass(user, before);
    expect(await database.claim()).toMatchObject({ claims: [], next_claim_in: null });
    await database.letTimePass(user, rest);
    expect(await claimed()).toEqual([user]);
  });

  test('ever more rarely: after an hour, later after a quarter of its age', async () => {
    const leases = await leaseLivingUsers(1);
    const [user = ''] = usersOf(leases);
    await refuse(leases);
    expect(await verifyIn(user)).toBeCloseTo(3_600, -1);

    const hours = async (interval: string) => {
      await refuse(await leaseAgainAfter(interval, [user]));
      return (await verifyIn(user)) / 3_600;
    };
    expect(await hours('2 hours')).toBeCloseTo(1, 1);
    expect(await hours('6 hours')).toBeCloseTo(2, 1);
    expect(await hours('40 hours')).toBeCloseTo(12, 1);
  });

  test('and stays as it is when Spotify says the same again: told once, no news for the breaker', async () => {
    const leases = await leaseLivingUsers(5);
    const [first = '', ...others] = usersOf(leases);
    await refuse(leases.slice(0, 1));
    const [again] = await leaseAgainAfter('2 hours', [first]);
    const marked = (await database.connection(first))?.['reauthorization_required_since'];
    await refuse(leases.slice(1, 4));

    expect(await refuse([again as LeaseRow])).toMatchObject({
      breaker_is_open: false,
      verdicts: [{ verdict: 'confirmed' }],
    });

    expect(await database.connection(first)).toMatchObject({
      reauthorization_required_since: marked,
      lease_id: null,
      held_since: null,
    });
    expect(others).toHaveLength(4);
  });

  test('and taken away when the grant lives after all', async () => {
    const leases = await leaseUnknownUsers(1);
    const [user = ''] = usersOf(leases);
    await refuse(leases);
    await database.letTimePass(user, '1 day');
    const { claims } = await database.claim();

    expect(verdictsOf(await succeed(claims))).toEqual(['applied']);

    expect(await database.connection(user)).toMatchObject({
      reauthorization_required_since: null,
      reauthorization_reason: null,
      verify_at: null,
      seen_alive: true,
      due_at: expect.any(Date),
    });
    expect(await database.check(user)).toMatchObject({ state: 'connected', revoked: false });
  });

  test.each(['throttled', 'unavailable', 'rejected', 'released', 'client_rejected'])(
    'later when the answer says nothing of the grant: %s',
    async (outcome) => {
      const leases = await leaseUnknownUsers(1);
      const [user = ''] = usersOf(leases);
      await refuse(leases);
      await database.letTimePass(user, '1 day');
      const [one] = (await database.claim()).claims as [LeaseRow];

      await database.record(one, { outcome, retry_after: 90 });

      expect(await verifyIn(user)).toBeLessThanOrEqual(90);
      expect(await database.connection(user)).toMatchObject({
        reauthorization_reason: 'grant_revoked',
        due_at: null,
      });
      await database.letTimePass(user, '91 seconds');
      expect(await claimed()).toEqual([user]);
    },
  );

  test('again when the lease for it lapsed', async () => {
    const leases = await leaseUnknownUsers(1);
    const [user = ''] = usersOf(leases);
    await refuse(leases);
    await database.letTimePass(user, '1 day');
    expect(await claimed()).toEqual([user]);

    expect(await claimed()).toEqual([]);
    await database.letTimePass(user, '5 minutes');
    expect(await claimed()).toEqual([user]);
  });

  test('only when there is room in a batch: those who are due come first', async () => {
    const leases = await leaseUnknownUsers(1);
    const [dead = ''] = usersOf(leases);
    await refuse(leases);
    await database.letTimePass(dead, '2 days');
    const due = await createUsers(2);

    expect((await claimed({ batch_size: 2 })).toSorted()).toEqual(due.toSorted());
    expect(await claimed({ batch_size: 2 })).toEqual([dead]);
  });

  test('no more once its tokens are removed, and never without a refresh token', async () => {
    const leases = await leaseUnknownUsers(1);
    const [user = ''] = usersOf(leases);
    await refuse(leases);
    await database.letTimePass(user, '8 days');
    await database.call('spotify_clear_dead_grants', { grace: '7 days', batch_size: 10 });
    const without = await database.createUser({ access: 'access', expires: 60 });
    await database.letTimePass(without, '8 days');

    expect(await claimed()).toEqual([]);
    for (const each of [user, without]) {
      expect(await database.check(each)).toMatchObject({ state: 'reauthorization_required', lease: null });
    }
  });

  test('by a status call as well, 30 seconds after the last attempt at the earliest', async () => {
    const leases = await leaseUnknownUsers(1);
    const [user = ''] = usersOf(leases);
    await refuse(leases);
    expect(await database.check(user)).toMatchObject({ state: 'reauthorization_required', lease: null });
    await database.letTimePass(user, '29 seconds');
    expect(await database.check(user)).toMatchObject({ state: 'reauthorization_required', lease: null });

    await database.letTimePass(user, '1 second');
    const { state, lease: taken } = await database.check(user);
    expect([state, taken?.refresh_token]).toEqual(['leased', tokenOf(user)]);
    // A user who asks meanwhile must not have to reauthorize because of what may turn out to be a mistake.
    expect(await database.check(user)).toMatchObject({ state: 'busy', revoked: true, lease: null });

    await succeed([taken as LeaseRow]);
    expect(await database.check(user)).toMatchObject({ state: 'connected' });
  });

  test('by no status call as long as the access token works', async () => {
    const leases = await leaseUnknownUsers(1, { ...expiring, expires: 1_800 });
    const [user = ''] = usersOf(leases);
    await refuse(leases);
    await database.letTimePass(user, '31 seconds');

    expect(await database.check(user)).toMatchObject({ state: 'reauthorization_required', lease: null });
  });
});

describe('an operator', () => {
  test('undoes the marks made since a moment, as long as the tokens are there', async () => {
    const [old, recent, cleared] = (await leaseUnknownUsers(3)) as [LeaseRow, LeaseRow, LeaseRow];
    await refuse([old, recent, cleared]);
    await database.letTimePass(old.user_id, '2 days');
    await database.letTimePass(cleared.user_id, '8 days');
    await database.call('spotify_clear_dead_grants', { grace: '7 days', batch_size: 10 });

    expect(await database.call('spotify_restore_connections', { since: daysAgo(1) })).toBe(1);

    expect(await count([recent])).toEqual({ dead: 0, held: 0 });
    expect(await count([old, cleared])).toEqual({ dead: 2, held: 0 });
    const { claims } = await database.claim();
    expect(usersOf(claims).toSorted()).toEqual([old.user_id, recent.user_id].toSorted());
  });

  test('undoes many of them batch by batch', async () => {
    const leases = await leaseUnknownUsers(2);
    await refuse(leases);
    const restore = () => database.call('spotify_restore_connections', { since: '-infinity', batch_size: 1 });

    expect([await restore(), await restore(), await restore()]).toEqual([1, 1, 0]);
    expect(await count(leases)).toEqual({ dead: 0, held: 0 });
  });
});

/** The same users, as if so much time had gone by for them. */
async function aged(users: readonly string[], interval: string): Promise<readonly string[]> {
  for (const user of users) await database.letTimePass(user, interval);
  return users;
}
