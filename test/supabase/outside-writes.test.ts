import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type Json, type LeaseRow, ownToken, refreshed, TestDatabase, tokenOf } from './database.ts';

const minute = 60;
const expiring = { access: 'access', refresh: ownToken, expires: 10 * minute, connectedAt: '2026-09-01' };
const disconnected = { access: null, refresh: null, expires: null, connectedAt: null };
const week = '7 days';

let database: TestDatabase;

beforeAll(async () => {
  database = await TestDatabase.start();
});
afterAll(() => database.stop());
beforeEach(() => database.clear());

async function claim(): Promise<LeaseRow> {
  const { claims } = await database.claim();
  expect(claims).toHaveLength(1);
  return claims[0] as LeaseRow;
}

/** A connection whose grant was found dead so long ago. */
async function createDeadGrant(age: string): Promise<string> {
  const user = await database.createUser(expiring);
  // Grants that are dead already may be claimed too: to be verified.
  const { claims } = await database.claim();
  const lease = claims.find(({ user_id }) => user_id === user) as LeaseRow;
  await database.record(lease, { outcome: 'revoked', used_refresh_token: lease.refresh_token });
  await database.letTimePass(user, age);
  return user;
}

type Cleared = { readonly cleared: number; readonly refused: readonly Json[]; readonly done: boolean };

function clearDeadGrants(batchSize = 100): Promise<Cleared> {
  return database.call('spotify_clear_dead_grants', { grace: week, batch_size: batchSize });
}

describe('the queue follows', () => {
  test('a connection that is made', async () => {
    const user = await database.createUser();
    expect(await database.connection(user)).toBeUndefined();

    await database.writeProfile(user, expiring);

    const profile = await database.profile(user);
    expect(await database.connection(user)).toMatchObject({
      expires_at: profile?.['spotify_token_expires_at'],
      due_at: profile?.['spotify_token_expires_at'],
      authorized_at: new Date('2026-09-01T00:00:00Z'),
      lease_id: null,
    });
  });

  test('a profile that is inserted with tokens', async () => {
    const user = await database.createUser();
    await database.owner('delete from public.profiles where id = $1', [user]);
    await database.owner(
      `insert into public.profiles (id, spotify_access_token, spotify_refresh_token, spotify_token_expires_at)
        values ($1, 'access', 'refresh', now())`,
      [user],
    );

    expect((await claim()).user_id).toBe(user);
  });

  test('a disconnection: nothing is due, and the user is told nothing but that', async () => {
    const user = await database.createUser(expiring);
    await claim();

    await database.writeProfile(user, disconnected);

    expect(await database.connection(user)).toMatchObject({ due_at: null, expires_at: null, lease_id: null });
    expect(await database.check(user)).toEqual({ state: 'disconnected' });
    expect(await database.claim()).toMatchObject({ claims: [], next_claim_in: null });
  });

  test('a disconnection of a dead grant: the mark goes too', async () => {
    const user = await createDeadGrant('1 minute');
    await database.writeProfile(user, disconnected);
    expect(await database.check(user)).toEqual({ state: 'disconnected' });
  });

  test('a reconnection', async () => {
    const user = await database.createUser(expiring);
    await database.writeProfile(user, disconnected);
    await database.writeProfile(user, { ...expiring, refresh: 'second' });
    expect(await claim()).toMatchObject({ user_id: user, refresh_token: 'second' });
  });

  test('the deletion of an account', async () => {
    const user = await database.createUser(expiring);
    await database.owner('delete from auth.users where id = $1', [user]);
    expect(await database.connection(user)).toBeUndefined();
  });
});

describe('an outside write', () => {
  const changes = {
    'the access token': { access: 'other' },
    'the refresh token': { refresh: 'other' },
    'the expiry': { expires: 20 * minute },
    'the time of connecting': { connectedAt: '2026-11-01' },
  };

  test.each(Object.entries(changes))('of %s ends the lease', async (_, columns) => {
    const user = await database.createUser(expiring);
    await claim();
    await database.writeProfile(user, columns);
    expect(await database.connection(user)).toMatchObject({ lease_id: null });
  });

  test.each(Object.entries(changes))(
    'of %s ends the backoff and forgets the failures',
    async (_, columns) => {
      const user = await database.createUser(expiring);
      await database.record(await claim(), { outcome: 'unavailable', retry_after: 10 * minute });
      await database.letTimePass(user, '1 minute');

      await database.writeProfile(user, columns);

      expect(await claim()).toMatchObject({ user_id: user, failures: 0 });
    },
  );

  test.each(Object.entries(changes))('of %s brings a dead grant back to life', async (_, columns) => {
    const user = await createDeadGrant('1 minute');

    await database.writeProfile(user, columns);

    expect(await database.connection(user)).toMatchObject({ reauthorization_required_since: null });
    expect((await claim()).user_id).toBe(user);
  });

  test('of anything else touches none of our rows', async () => {
    const user = await database.createUser(expiring);
    await claim();
    const { connection } = await database.rowsOnDisk(user);

    await database.owner(
      `update public.profiles set full_name = 'Alice', personality_data = '{"a": 1}', spotify_user_id = 'alice',
        spotify_access_token = spotify_access_token where id = $1`,
      [user],
    );

    expect((await database.rowsOnDisk(user))['connection']).toEqual(connection);
  });

  test('bumps updated_at, and so does a refresh', async () => {
    const user = await database.createUser(expiring);
    const updatedAt = async () => (await database.profile(user))?.['updated_at'] as Date;
    const atFirst = await updatedAt();
    await database.writeProfile(user, { access: 'other' });
    const afterOutsideWrite = await updatedAt();
    const lease = await claim();
    await database.record(lease, refreshed(lease));

    expect(afterOutsideWrite.getTime()).toBeGreaterThan(atFirst.getTime());
    expect((await updatedAt()).getTime()).toBeGreaterThan(afterOutsideWrite.getTime());
  });

  test('in the same transaction as our own write still counts as from outside', async () => {
    const [ours, theirs] = [await database.createUser(expiring), await database.createUser(expiring)];
    const { claims } = await database.claim();
    const lease = claims.find((each) => each.user_id === ours) as LeaseRow;
    const client = await database.connect(database.urls.ownerUrl);
    await client.query('begin');
    await client.query('select public.spotify_record($1)', [
      JSON.stringify([{ ...lease, ...refreshed(lease) }]),
    ]);
    await client.query(`update public.profiles set spotify_access_token = 'other' where id = $1`, [theirs]);
    await client.query('commit');
    client.release();

    expect(await database.connection(theirs)).toMatchObject({ lease_id: null });
  });
});

describe('the floor of 30 seconds between attempts', () => {
  test('survives whatever the user does to the row', async () => {
    const user = await database.createUser({ ...expiring, expires: -minute });
    await claim();

    await database.writeProfile(user, { expires: -2 * minute });
    expect(await database.claim()).toMatchObject({ claims: [], next_claim_in: expect.closeTo(30, -1) });
    await database.writeProfile(user, disconnected);
    await database.writeProfile(user, expiring);
    expect(await database.claim()).toMatchObject({ claims: [] });
    await database.writeProfile(user, { expires: -3 * minute });
    expect(await database.check(user)).toMatchObject({ state: 'backing_off', lease: null });

    await database.letTimePass(user, '29 seconds');
    await database.writeProfile(user, { expires: -4 * minute });
    expect(await database.claim()).toMatchObject({ claims: [] });

    await database.letTimePass(user, '1 second');
    expect((await claim()).user_id).toBe(user);
  });

  test('does not delay a user who was not just attempted', async () => {
    const user = await database.createUser({ ...expiring, expires: -minute });
    await claim();
    await database.letTimePass(user, '31 seconds');
    await database.writeProfile(user, { expires: -2 * minute });
    expect((await claim()).user_id).toBe(user);
  });
});

describe('the tokens of a dead grant', () => {
  test('stay for the grace period', async () => {
    const user = await createDeadGrant('6 days 23 hours');
    expect(await clearDeadGrants()).toMatchObject({ cleared: 0 });
    expect(await database.profile(user)).toMatchObject({ spotify_refresh_token: tokenOf(user) });
  });

  test('go after it, and the mark stays: the user is still told to reconnect', async () => {
    const user = await createDeadGrant(week);
    const before = await database.profile(user);

    expect(await clearDeadGrants()).toMatchObject({ cleared: 1 });

    expect(await database.profile(user)).toEqual({
      ...before,
      spotify_access_token: null,
      spotify_refresh_token: null,
      spotify_token_expires_at: null,
      updated_at: expect.any(Date),
    });
    expect(await database.check(user)).toMatchObject({
      state: 'reauthorization_required',
      seconds_left: null,
      connected_at: '2026-09-01T00:00:00+00:00',
    });
    expect(await clearDeadGrants()).toMatchObject({ cleared: 0 });
  });

  test('are not mistaken for a disconnection that Bondhu made', async () => {
    const user = await createDeadGrant(week);
    await clearDeadGrants();
    await database.writeProfile(user, disconnected);
    expect(await database.check(user)).toEqual({ state: 'disconnected' });
  });

  test('can be replaced by reconnecting', async () => {
    const user = await createDeadGrant(week);
    await clearDeadGrants();

    await database.writeProfile(user, { ...expiring, refresh: 'second', connectedAt: '2026-11-24' });

    expect(await claim()).toMatchObject({ user_id: user, refresh_token: 'second' });
    await database.letTimePass(user, week);
    expect(await clearDeadGrants()).toMatchObject({ cleared: 0 });
  });

  test('go again when the user has reconnected and that grant is dead too', async () => {
    const user = await createDeadGrant(week);
    await clearDeadGrants();
    await database.writeProfile(user, { ...expiring, refresh: 'second' });
    const lease = await claim();
    await database.record(lease, { outcome: 'revoked', used_refresh_token: 'second' });
    await database.letTimePass(user, week);

    expect(await clearDeadGrants()).toMatchObject({ cleared: 1 });
    expect(await database.profile(user)).toMatchObject({ spotify_refresh_token: null });
  });

  test('are left alone while the profile is locked, and those of living grants always', async () => {
    const dead = await createDeadGrant(week);
    const living = await database.createUser(expiring);
    const holder = await database.hold('select from public.profiles where id = $1 for update', [dead]);

    expect(await clearDeadGrants()).toMatchObject({ cleared: 0 });
    await holder.commit();
    expect(await clearDeadGrants()).toMatchObject({ cleared: 1 });

    expect(await database.profile(living)).toMatchObject({ spotify_refresh_token: tokenOf(living) });
  });

  test('go a batch at a time, and who clears them is told whether there may be more', async () => {
    const users: string[] = [];
    for (let grants = 0; grants < 4; grants += 1) users.push(await createDeadGrant('6 days'));
    for (const user of users) await database.letTimePass(user, '1 day');

    expect([await clearDeadGrants(2), await clearDeadGrants(2), await clearDeadGrants(2)]).toEqual([
      { cleared: 2, refused: [], done: false },
      { cleared: 2, refused: [], done: false },
      { cleared: 0, refused: [], done: true },
    ]);
  });

  test('go the oldest first, and a batch that is not full was the last', async () => {
    const [younger, older, youngest] = [
      await createDeadGrant('6 days'),
      await createDeadGrant('6 days'),
      await createDeadGrant('6 days'),
    ];
    await database.letTimePass(older, '1 day');
    for (const user of [younger, older, youngest]) await database.letTimePass(user, '1 day');

    expect(await clearDeadGrants(1)).toMatchObject({ cleared: 1, done: false });
    expect(await database.profile(older)).toMatchObject({ spotify_refresh_token: null });
    expect(await clearDeadGrants(3)).toMatchObject({ cleared: 2, done: true });
    for (const user of [younger, youngest]) {
      expect(await database.profile(user)).toMatchObject({ spotify_refresh_token: null });
    }
  });

  test('end the lease of a verification that was never recorded: its outcome changes nothing any more', async () => {
    const user = await createDeadGrant(week);
    const lease = await claim();
    await database.letTimePass(user, '5 minutes');
    await clearDeadGrants();

    expect(await database.record(lease, { outcome: 'unavailable', retry_after: 1 })).toBe('stale');

    await database.letTimePass(user, week);
    expect(await database.claim()).toMatchObject({ claims: [] });
    expect(await database.check(user)).toMatchObject({ state: 'reauthorization_required' });
  });

  test('stay while the mark is being verified', async () => {
    const user = await createDeadGrant(week);
    expect((await claim()).user_id).toBe(user);

    expect(await clearDeadGrants()).toMatchObject({ cleared: 0 });

    await database.letTimePass(user, '5 minutes');
    expect(await clearDeadGrants()).toMatchObject({ cleared: 1 });
  });
});

describe('a signed-in user writes into the own profile', () => {
  const hostile: [string, string, string][] = [
    ['an expiry at infinity', 'spotify_token_expires_at', 'infinity'],
    ['an expiry at -infinity', 'spotify_token_expires_at', '-infinity'],
    ['the last expiry there is', 'spotify_token_expires_at', '294276-12-31 23:59:59+00'],
    ['the first expiry there is', 'spotify_token_expires_at', '4713-01-01 00:00:00+00 BC'],
    ['a connection at infinity', 'spotify_connected_at', 'infinity'],
    ['a connection at -infinity', 'spotify_connected_at', '-infinity'],
    ['the last connection time there is', 'spotify_connected_at', '294276-12-31 23:59:59+00'],
    ['the first connection time there is', 'spotify_connected_at', '4713-01-01 00:00:00+00 BC'],
    ['an empty access token', 'spotify_access_token', ''],
    ['an empty refresh token', 'spotify_refresh_token', ''],
    ['an access token of a megabyte', 'spotify_access_token', 'x'.repeat(1_000_000)],
    ['a refresh token of a megabyte', 'spotify_refresh_token', 'x'.repeat(1_000_000)],
    ['a refresh token of 4,097 bytes in fewer characters', 'spotify_refresh_token', `${'é'.repeat(2048)}x`],
    ['a refresh token of any characters', 'spotify_refresh_token', '🎵\u202e"\\\r\n{}\u0001'],
    ['a refresh token that looks like SQL', 'spotify_refresh_token', `'; drop table public.profiles; --`],
    ['an e-mail of a megabyte', 'spotify_user_email', 'x'.repeat(1_000_000)],
  ];

  test.each(hostile)('%s: nothing fails, and everybody else is served', async (_, column, value) => {
    const user = await database.createUser({ ...expiring, expires: -minute });
    const other = await database.createUser({ ...expiring, refresh: 'other' });
    const { claims: held } = await database.claim();
    const write = `update public.profiles set ${column} = $2 where id = $1 returning ${column}::text as stored`;

    expect(await database.asUser(user, write, [user, value])).toHaveLength(1);
    await database.letTimePass(other, '5 minutes');
    const { claims } = await database.claim();
    await database.check(user, '40 minutes');
    await database.call('spotify_reconcile', { batch_size: 10 });
    await database.call('spotify_due_count', { refresh_within: '40 minutes' });
    await database.call('spotify_connection_stats');
    await database.call('spotify_clear_dead_grants', { grace: '0 seconds', batch_size: 10 });
    const events = await database.call('spotify_pending_events', { batch_size: 10 });
    await database.call('spotify_record_events', { events });
    await database.call('spotify_restore_connections', { since: '-infinity' });

    const lease = claims.find(({ user_id }) => user_id === other) as LeaseRow;
    expect(lease.refresh_token).toBe('other');
    const results = [
      { ...lease, ...refreshed(lease, 'new') },
      ...held.filter(({ user_id }) => user_id === user).map((mine) => ({ ...mine, ...refreshed(mine) })),
    ];
    expect((await database.recordAll(results)).verdicts).toContainEqual(
      expect.objectContaining({ user_id: other, verdict: 'applied' }),
    );
  });

  test.each([
    ['control characters', '\u0001'],
    ['quotation marks', '"'],
    ['four-byte characters', '🎵'],
  ])('60 kB of %s as e-mail and id: a status call answers in under 4 kB', async (_, character) => {
    const user = await database.createUser(expiring);
    await database.asUser(user, 'update public.profiles set spotify_user_id = $1, spotify_user_email = $1', [
      character.repeat(60_000 / Buffer.byteLength(character)),
    ]);

    for (const refreshWithin of ['5 minutes', '1 hour']) {
      const answer = await database.check(user, refreshWithin);
      expect(Buffer.byteLength(JSON.stringify(answer))).toBeLessThan(4_096);
      expect([...String(answer['spotify_user_email'])]).toHaveLength(254);
      expect([...String(answer['spotify_user_id'])]).toHaveLength(128);
    }
  });

  test.each(['', 'x'.repeat(4097)])('an unusable refresh token: it is never claimed', async (token) => {
    const user = await database.createUser(expiring);
    await database.asUser(user, 'update public.profiles set spotify_refresh_token = $1', [token]);
    expect(await database.claim()).toMatchObject({ claims: [], next_claim_in: null });
  });

  test.each(['infinity', '294276-12-31'])(
    'an expiry of %s: the queue says that it cannot be true, and the connection is due',
    async (expiry) => {
      const user = await database.createUser(expiring);
      await database.asUser(user, 'update public.profiles set spotify_token_expires_at = $1', [expiry]);
      expect(await database.connection(user)).toMatchObject({ expires_at: null, implausible_expiry: true });
      expect((await claim()).user_id).toBe(user);
    },
  );

  test('tokens and everything else, and never sees or reaches another profile', async () => {
    const user = await database.createUser(expiring);
    const other = await database.createUser({ ...expiring, refresh: 'other' });

    const written = await database.asUser(
      user,
      `update public.profiles set spotify_refresh_token = 'mine', full_name = 'Me' returning id`,
    );

    expect(written).toEqual([{ id: user }]);
    expect(await database.profile(other)).toMatchObject({ spotify_refresh_token: 'other', full_name: null });
    expect((await database.claim()).claims.map((lease) => lease.refresh_token).sort()).toEqual([
      'mine',
      'other',
    ]);
  });
});
