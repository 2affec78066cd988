import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type Json, type LeaseRow, ownToken, refreshed, TestDatabase } from './database.ts';

const minute = 60;
const sharing = { access: 'access', refresh: 'shared', expires: minute } as const;

let database: TestDatabase;

beforeAll(async () => {
  database = await TestDatabase.start();
});
afterAll(() => database.stop());
beforeEach(() => database.clear());

async function createUsers(count: number, columns: Json = sharing): Promise<string[]> {
  const users: string[] = [];
  for (let index = 0; index < count; index += 1) users.push(await database.createUser(columns));
  return users;
}

async function claim(overrides: Json = {}): Promise<LeaseRow[]> {
  return (await database.claim(overrides)).claims;
}

/** The two users of one token: the one who got the lease, and the other one. */
async function leaseOneOfTwo(): Promise<{ lease: LeaseRow; other: string }> {
  const users = await createUsers(2);
  const [lease, ...more] = (await claim()) as [LeaseRow];
  expect(more).toEqual([]);
  return { lease, other: users.find((user) => user !== lease.user_id) as string };
}

async function refreshTokenOf(user: string): Promise<unknown> {
  return (await database.profile(user))?.['spotify_refresh_token'];
}

/** Tokens on which more than one lease lives at this moment. */
function tokensLeasedTwice(): Promise<Json[]> {
  return database.owner(
    `select h.token_hash, array_agg(c.user_id) as users
      from spotify_auth.connections c join spotify_auth.token_hashes h using (user_id)
      where c.lease_id is not null and c.claimable_at > now()
      group by h.token_hash having count(*) > 1`,
  );
}

describe('one lease covers every profile that holds the token', () => {
  test('in one batch', async () => {
    const users = await createUsers(3);
    const alone = await database.createUser({ ...sharing, refresh: ownToken });

    const claims = await claim();

    expect(claims.filter(({ refresh_token }) => refresh_token === 'shared')).toHaveLength(1);
    expect(claims.map(({ user_id }) => user_id)).toContain(alone);
    expect(await claim()).toEqual([]);
    for (const user of users)
      expect(await database.check(user)).toMatchObject({ state: 'busy', lease: null });
  });

  test('in two claims, one after the other', async () => {
    await createUsers(2);
    expect(await claim({ batch_size: 1 })).toHaveLength(1);
    expect(await claim({ batch_size: 1 })).toEqual([]);
    expect(await database.claim()).toMatchObject({
      claims: [],
      next_claim_in: expect.closeTo(5 * minute, -1),
    });
  });

  test('in two claims at once: who comes second puts its row off', async () => {
    const users = await createUsers(2);
    const first = await database.hold(
      `select public.spotify_claim_due(1, '40 minutes', '5 minutes', '0 seconds')`,
    );

    expect(await claim()).toEqual([]);
    await first.commit();
    for (const user of users) await database.letTimePass(user, '2 seconds');

    expect(await claim()).toEqual([]);
    const leased = await database.owner(
      'select from spotify_auth.connections where lease_id is not null and claimable_at > now()',
    );
    expect(leased).toHaveLength(1);
  });

  test('in a status call, towards sweeps and other status calls', async () => {
    const [one = '', two = ''] = await createUsers(2);

    expect(await database.check(one)).toMatchObject({ state: 'leased' });

    expect(await database.check(two)).toMatchObject({ state: 'busy', retry_in: expect.closeTo(15, -1) });
    expect(await claim()).toEqual([]);
  });

  test('in a claim, towards a status call', async () => {
    const { other } = await leaseOneOfTwo();
    expect(await database.check(other)).toMatchObject({
      state: 'busy',
      lease: null,
      retry_in: expect.closeTo(5 * minute, -1),
    });
  });

  test('a sharer that does not know of the copy yet: it has to wait as soon as it asks', async () => {
    const victim = await database.createUser(sharing);
    const [lease] = (await claim()) as [LeaseRow];
    const copy = await database.createUser(sharing);

    expect(lease.user_id).toBe(victim);
    expect(await database.check(copy)).toMatchObject({ state: 'busy', lease: null });
    expect(await claim()).toEqual([]);
  });

  test('until it lapses: then one of them is free again', async () => {
    const { lease, other } = await leaseOneOfTwo();
    for (const user of [lease.user_id, other]) await database.letTimePass(user, '5 minutes');

    expect(await claim()).toHaveLength(1);
  });

  test('and marks that are to be verified', async () => {
    const users = await createUsers(2);
    for (const _ of users) {
      const [lease] = (await claim()) as [LeaseRow];
      await database.record(lease, { outcome: 'revoked', used_refresh_token: 'shared' });
      for (const user of users) await database.letTimePass(user, '6 minutes');
    }
    for (const user of users) await database.letTimePass(user, '2 days');

    expect(await claim()).toHaveLength(1);
    expect(await tokensLeasedTwice()).toEqual([]);
  });

  test('of a token alone: users with other tokens are none of its business', async () => {
    await createUsers(2);
    await createUsers(2, { ...sharing, refresh: 'another' });

    expect((await claim()).map(({ refresh_token }) => refresh_token).toSorted()).toEqual([
      'another',
      'shared',
    ]);
  });
});

describe('a new token reaches every profile that holds the old one', () => {
  test('refreshed: tokens, expiry, and a fresh start for all', async () => {
    const { lease, other } = await leaseOneOfTwo();

    const recorded = await database.recordAll([
      { ...lease, ...refreshed(lease, 'new'), access_token: 'fresh' },
    ]);

    // No call has asked about the other one.
    expect(recorded.verdicts).toEqual([
      { user_id: lease.user_id, lease_id: lease.lease_id, verdict: 'applied' },
    ]);
    const expiry = (await database.profile(lease.user_id))?.['spotify_token_expires_at'];
    for (const user of [lease.user_id, other]) {
      expect(await database.profile(user)).toMatchObject({
        spotify_access_token: 'fresh',
        spotify_refresh_token: 'new',
        spotify_token_expires_at: expiry,
      });
      expect(await database.connection(user)).toMatchObject({
        expires_at: expiry,
        due_at: expiry,
        claimable_at: null,
        lease_id: null,
        seen_alive: true,
        failures: 0,
      });
    }
  });

  test('refreshed without a new refresh token: the access token', async () => {
    const { lease, other } = await leaseOneOfTwo();

    await database.record(lease, { ...refreshed(lease), access_token: 'fresh' });

    expect(await database.profile(other)).toMatchObject({
      spotify_access_token: 'fresh',
      spotify_refresh_token: 'shared',
    });
    expect(await database.check(other)).toMatchObject({ state: 'connected' });
  });

  test('rotated: the refresh token alone', async () => {
    const { lease, other } = await leaseOneOfTwo();

    await database.record(lease, {
      outcome: 'refresh_token_only',
      used_refresh_token: 'shared',
      refresh_token: 'new',
      retry_after: 60,
    });

    for (const user of [lease.user_id, other]) {
      expect(await database.profile(user)).toMatchObject({
        spotify_access_token: 'access',
        spotify_refresh_token: 'new',
      });
      expect(await database.connection(user)).toMatchObject({ seen_alive: true, failures: 1 });
    }
    for (const user of [lease.user_id, other]) await database.letTimePass(user, '1 minute');
    expect(await claim()).toMatchObject([{ refresh_token: 'new' }]);
  });

  test('so that they still share it', async () => {
    const { lease, other } = await leaseOneOfTwo();
    await database.record(lease, { ...refreshed(lease, 'new'), expires_in: minute });

    expect(await claim()).toMatchObject([{ refresh_token: 'new' }]);
    expect(await database.call('spotify_reconcile', { batch_size: 10 })).toMatchObject({ healed: 0 });
    expect(await refreshTokenOf(other)).toBe('new');
  });

  test('also those that are held or marked dead: the grant lives', async () => {
    const { lease, other } = await leaseOneOfTwo();
    await database.record(lease, { outcome: 'revoked', used_refresh_token: 'shared' });
    for (const user of [lease.user_id, other]) await database.letTimePass(user, '6 minutes');
    const [again] = (await claim()) as [LeaseRow];
    expect(again.user_id).toBe(other);

    await database.record(again, refreshed(again, 'new'));

    for (const user of [lease.user_id, other]) {
      expect(await database.check(user)).toMatchObject({ state: 'connected', revoked: false });
    }
  });

  test('counting as one refresh', async () => {
    await database.owner('truncate spotify_auth.refreshes_by_minute');
    const { lease } = await leaseOneOfTwo();
    await database.record(lease, refreshed(lease, 'new'));

    expect(await database.owner('select refreshes from spotify_auth.refreshes_by_minute')).toEqual([
      { refreshes: 1 },
    ]);
  });

  test('and not those that have got another one meanwhile', async () => {
    const { lease, other } = await leaseOneOfTwo();
    await database.writeProfile(other, { refresh: 'reconnected' });

    await database.record(lease, refreshed(lease, 'new'));

    expect(await refreshTokenOf(other)).toBe('reconnected');
    expect(await refreshTokenOf(lease.user_id)).toBe('new');
  });

  test('to none of them as long as one is locked: busy, and applied when repeated', async () => {
    const { lease, other } = await leaseOneOfTwo();
    const holder = await database.hold('select from public.profiles where id = $1 for update', [other]);
    const outcome = refreshed(lease, 'new');

    expect(await database.record(lease, outcome)).toBe('busy');
    expect(await refreshTokenOf(lease.user_id)).toBe('shared');

    await holder.commit();
    expect(await database.record(lease, outcome)).toBe('applied');
    for (const user of [lease.user_id, other]) expect(await refreshTokenOf(user)).toBe('new');
    expect(await database.record(lease, outcome)).toBe('already_applied');
  });

  test('and what says nothing of the token stays with the one who was asked about', async () => {
    const { lease, other } = await leaseOneOfTwo();
    const before = await database.rowsOnDisk(other);

    await database.record(lease, { outcome: 'unavailable', retry_after: 60 });

    expect(await database.rowsOnDisk(other)).toEqual(before);
  });
});

describe('a user who copies the token of a victim and then changes their own row', () => {
  test.each([
    ['another refresh token', (user: string) => database.writeProfile(user, { refresh: 'rewritten' })],
    [
      'a disconnection',
      (user: string) => database.writeProfile(user, { access: null, refresh: null, expires: null }),
    ],
    [
      'the deletion of the account',
      (user: string) => database.owner('delete from auth.users where id = $1', [user]),
    ],
  ])(
    '(%s) only ends their own lease: no function sends the token, and the victim gets the new one',
    async (_, change) => {
      const { lease: attackers, other: victim } = await leaseOneOfTwo();

      await change(attackers.user_id);

      expect((await claim()).map(({ refresh_token }) => refresh_token)).not.toContain('shared');
      expect(await database.check(victim)).toMatchObject({ state: 'busy', lease: null });

      expect(await database.record(attackers, refreshed(attackers, 'new'))).toBe('stale');
      expect(await refreshTokenOf(victim)).toBe('new');
      expect(await database.check(victim)).toMatchObject({ state: 'connected' });
    },
  );

  test('cannot keep the new token from the victim by a lock: it is to be recorded again', async () => {
    const { lease: attackers, other: victim } = await leaseOneOfTwo();
    await database.writeProfile(attackers.user_id, { refresh: 'rewritten' });
    const holder = await database.hold('select from public.profiles where id = $1 for update', [victim]);

    expect(await database.record(attackers, refreshed(attackers, 'new'))).toBe('busy');
    await holder.commit();
    await database.record(attackers, refreshed(attackers, 'new'));

    expect(await refreshTokenOf(victim)).toBe('new');
    expect(await refreshTokenOf(attackers.user_id)).toBe('rewritten');
  });

  test('cannot keep a success from the victim that brings no new refresh token either', async () => {
    const { lease: attackers, other: victim } = await leaseOneOfTwo();
    await database.writeProfile(attackers.user_id, { access: 'rewritten' });

    expect(await database.record(attackers, { ...refreshed(attackers), access_token: 'fresh' })).toBe(
      'stale',
    );

    expect(await database.profile(victim)).toMatchObject({
      spotify_access_token: 'fresh',
      spotify_refresh_token: 'shared',
    });
    expect(await database.profile(attackers.user_id)).toMatchObject({ spotify_access_token: 'rewritten' });
  });

  test('back to the copied token gets no second lease, however long the floor between attempts is over', async () => {
    const { lease: attackers, other: victim } = await leaseOneOfTwo();
    await database.writeProfile(attackers.user_id, { refresh: 'rewritten' });
    await database.writeProfile(attackers.user_id, { refresh: 'shared' });
    for (const user of [attackers.user_id, victim]) await database.letTimePass(user, '1 minute');

    expect(await database.check(attackers.user_id)).toMatchObject({ state: 'busy', lease: null });
    expect(await claim()).toEqual([]);
    for (const user of [attackers.user_id, victim]) await database.letTimePass(user, '4 minutes');
    expect(await claim()).toHaveLength(1);
  });

  test('or a victim who writes the own row: the token is not sent a second time', async () => {
    const { other: victim } = await leaseOneOfTwo();
    await database.writeProfile(victim, { access: 'from outside' });

    expect(await database.check(victim)).toMatchObject({ state: 'busy', lease: null });
    expect(await claim()).toEqual([]);
  });

  test('cannot put victims off by a failure of the own row', async () => {
    const { lease: attackers, other: victim } = await leaseOneOfTwo();
    await database.record(attackers, { outcome: 'rejected', retry_after: 86_400 });
    await database.letTimePass(victim, '5 minutes');

    expect(await claim()).toMatchObject([{ user_id: victim }]);
  });
});

describe('a thousand copies of one token', () => {
  test('do not keep others from being refreshed, and need one lease', async () => {
    await database.owner(
      'insert into auth.users (id) select gen_random_uuid() from generate_series(1, 1000)',
    );
    await database.owner(
      `update public.profiles set spotify_access_token = 'a', spotify_refresh_token = 'shared',
        spotify_token_expires_at = now() - interval '1 hour'`,
    );
    const others = await createUsers(3, { ...sharing, refresh: ownToken });

    const claims: LeaseRow[] = [];
    let due_from: unknown = null;
    for (let calls = 0; calls < 20; calls += 1) {
      const batch = await database.claim({ batch_size: 100, due_from });
      claims.push(...batch.claims);
      due_from = batch.due_up_to;
      if (batch.claims.length === 0 && due_from === null) break;
    }

    const shared = claims.filter(({ refresh_token }) => refresh_token === 'shared');
    expect(shared).toHaveLength(1);
    expect(claims.map(({ user_id }) => user_id)).toEqual(expect.arrayContaining(others));

    const [lease] = shared as [LeaseRow];
    expect(await database.record(lease, refreshed(lease, 'new'))).toBe('applied');
    expect(
      await database.owner(`select from public.profiles where spotify_refresh_token = 'new'`),
    ).toHaveLength(1000);
  });
});

test('users who write their own rows and ask, over and over, rewrite no row that waits already', async () => {
  const { lease, other } = await leaseOneOfTwo();
  const waiting = await database.createUser(sharing);
  expect(await database.check(waiting)).toMatchObject({ state: 'busy', lease: null });
  const before = await database.rowsOnDisk(waiting);

  for (const user of [other, lease.user_id]) {
    await writeAsIfTheFloorWereOver(user);
    expect(await database.check(user)).toMatchObject({ state: 'busy', lease: null });
  }

  expect(await database.rowsOnDisk(waiting)).toEqual(before);
});

/** An outside write that leaves the row free at once, whenever it was last attempted. */
async function writeAsIfTheFloorWereOver(user: string): Promise<void> {
  await database.owner(
    `do $$ begin
      update public.profiles set spotify_access_token = gen_random_uuid() where id = '${user}';
      update spotify_auth.connections set claimable_at = null, due_at = expires_at where user_id = '${user}';
    end $$`,
  );
}

test('the statistics count the connections that share a token, as long as they do', async () => {
  const [first = ''] = await createUsers(3);
  await createUsers(2, { ...sharing, refresh: ownToken });
  const stats = () => database.call<Json>('spotify_connection_stats');

  expect(await stats()).toMatchObject({ connected: 5, shared_tokens: 3 });
  await database.writeProfile(first, { refresh: 'own' });
  expect(await stats()).toMatchObject({ shared_tokens: 2 });
});

test('however many claim, check, record and write at once, no token is ever leased twice', async () => {
  const tokens = ['one', 'two', 'three', 'four', 'five', 'six'];
  const users: string[] = [];
  for (let index = 0; index < 24; index += 1) {
    users.push(await database.createUser({ ...sharing, refresh: tokens[index % 6] as string }));
  }
  const anyUser = () => users[Math.floor(Math.random() * users.length)] as string;
  const counts = { leased: 0, putOff: 0 };

  const repeatedly = async (act: () => Promise<unknown>) => {
    while (counts.leased < 100) {
      await act();
      expect(await tokensLeasedTwice()).toEqual([]);
    }
  };
  const recordAll = async (leases: readonly LeaseRow[]) => {
    counts.leased += leases.length;
    const outcomes = leases.map((lease) => ({
      ...lease,
      ...(Math.random() < 0.9
        ? { ...refreshed(lease, `${lease.refresh_token[0]}-${randomUUID()}`), expires_in: minute }
        : { outcome: 'released' }),
    }));
    await database.recordAll(outcomes);
  };

  await Promise.all([
    ...[1, 2, 3].map(() =>
      repeatedly(async () => recordAll(await claim({ batch_size: 5, lease: '300 milliseconds' }))),
    ),
    ...[1, 2].map(() =>
      repeatedly(async () => {
        const check = await database.check(anyUser(), '5 minutes', '300 milliseconds');
        if (check['state'] === 'busy') counts.putOff += 1;
        if (check.lease) await recordAll([check.lease]);
      }),
    ),
    // Takes a lease and never records it, as a process that is killed.
    repeatedly(() => database.check(anyUser(), '5 minutes', '50 milliseconds')),
    repeatedly(() => writeAsIfTheFloorWereOver(anyUser())),
  ]);

  expect(counts.putOff).toBeGreaterThan(0);
});
