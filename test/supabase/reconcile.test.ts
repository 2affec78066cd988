import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type Json, ownToken, refreshed, TestDatabase, tokenOf } from './database.ts';

const expiring = { access: 'access', refresh: ownToken, expires: 600, connectedAt: '2026-09-01' };

function reconcile(database: TestDatabase, batchSize = 100): Promise<{ healed: number; done: boolean }> {
  return database.call('spotify_reconcile', { batch_size: batchSize });
}

async function reconcileUntilDone(database: TestDatabase, batchSize: number): Promise<number> {
  let healed = 0;
  for (;;) {
    const page = await reconcile(database, batchSize);
    healed += page.healed;
    if (page.done) return healed;
  }
}

describe('a table that was in use before the migration', () => {
  let database: TestDatabase;
  let before: Json;
  let profilesBefore: Json[];

  const columnsAndPolicies = async () => ({
    columns: await database.owner(
      `select column_name, ordinal_position, data_type, column_default, is_nullable
        from information_schema.columns where table_name = 'profiles' order by ordinal_position`,
    ),
    policies: await database.owner('select * from pg_policies order by policyname'),
    privileges: await database.owner(`select relacl::text from pg_class where relname = 'profiles'`),
    indexes: await database.owner(`select indexdef from pg_indexes where tablename = 'profiles'`),
  });
  const allProfiles = () => database.owner('select xmin, ctid, * from public.profiles order by id');

  beforeAll(async () => {
    database = await TestDatabase.start({ migrated: false });
    await database.owner('insert into auth.users (id) select gen_random_uuid() from generate_series(1, 60)');
    // Ten of each kind that occurs in the real data.
    await database.owner(
      `with kind as (select id, row_number() over (order by id) % 6 as number from public.profiles)
      update public.profiles p set
        spotify_access_token = case when number in (0, 1, 2, 3) then 'access' end,
        spotify_refresh_token = case when number in (0, 1, 2, 4) then 'refresh-' || p.id end,
        spotify_token_expires_at = case number when 0 then now() when 2 then '-infinity' when 3 then now() end,
        spotify_connected_at = case when number in (0, 2, 3) then timestamptz '2026-09-01' end
      from kind where kind.id = p.id`,
    );
    before = await columnsAndPolicies();
    profilesBefore = await allProfiles();
    await database.migrate();
  });
  afterAll(() => database.stop());

  test('keeps its columns, policies, privileges and indexes, and every row as it lies on disk', async () => {
    expect(await columnsAndPolicies()).toEqual(before);
    expect(await allProfiles()).toEqual(profilesBefore);
  });

  test('is not copied by the migration itself', async () => {
    expect(await database.owner('select from spotify_auth.connections')).toEqual([]);
  });

  test('is answered for at once: a check queues the row that it is asked about', async () => {
    const rows = await database.owner<{ id: string }>(
      `select id from public.profiles where spotify_refresh_token is not null order by id limit 1`,
    );
    const user = (rows[0] as { id: string }).id;

    expect(await database.check(user)).toMatchObject({
      state: 'leased',
      lease: { refresh_token: tokenOf(user) },
    });
  });

  test('is queued page by page, and then no longer waited for', async () => {
    expect(await reconcile(database, 25)).toMatchObject({ done: false });
    expect(await reconcile(database, 25)).toMatchObject({ done: false });
    expect(await reconcile(database, 25)).toMatchObject({ done: false });
    expect(await reconcile(database, 25)).toEqual({ healed: 0, done: true });

    // Four kinds have a refresh token, one of them without an access token; one has an access token alone.
    expect(
      await database.owner(
        `select count(*) filter (where due_at is not null)::int as queued,
          count(*) filter (where reauthorization_reason = 'no_refresh_token')::int as dead, count(*)::int as total
        from spotify_auth.connections`,
      ),
    ).toEqual([{ queued: 40, dead: 10, total: 50 }]);
    expect((await database.claim()).claims).toHaveLength(39);
    expect(await allProfiles()).toEqual(profilesBefore);
  });

  test('is done from then on: the next pass is a page per sweep', async () => {
    expect(await reconcile(database, 25)).toEqual({ healed: 0, done: true });
    expect(await reconcile(database, 25)).toEqual({ healed: 0, done: true });
  });
});

describe('reconciling', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await TestDatabase.start();
  });
  afterAll(() => database.stop());
  beforeEach(() => database.clear());

  test.each([0, -1, null])('%s profiles at a time is refused, and ends no first pass', async (size) => {
    await expect(reconcile(database, size as number)).rejects.toMatchObject({ code: '22023' });
    expect(await database.owner('select backfilled from spotify_auth.shared_state')).toEqual([
      { backfilled: false },
    ]);
  });

  const drifts: [string, string, Json][] = [
    ['a queue row that is missing', 'delete from spotify_auth.connections', { due_at: expect.any(Date) }],
    [
      'a disconnection',
      `update public.profiles set spotify_access_token = null, spotify_refresh_token = null`,
      { due_at: null, expires_at: null },
    ],
    [
      'a lost refresh token',
      `update public.profiles set spotify_refresh_token = null`,
      { due_at: null, reauthorization_reason: 'no_refresh_token' },
    ],
    [
      'a lost refresh token whose queue row was emptied',
      `update public.profiles set spotify_refresh_token = null;
        update spotify_auth.connections set due_at = null`,
      { due_at: null, reauthorization_reason: 'no_refresh_token' },
    ],
    [
      'a lost access token',
      `update public.profiles set spotify_access_token = null`,
      { expires_at: null, due_at: expect.any(Date) },
    ],
    [
      'another expiry',
      `update public.profiles set spotify_token_expires_at = '2026-01-01 00:00:00+00'`,
      { expires_at: new Date('2026-01-01T00:00:00Z'), due_at: new Date('2026-01-01T00:00:00Z') },
    ],
    [
      'an expiry at infinity',
      `update public.profiles set spotify_token_expires_at = 'infinity'`,
      { expires_at: null, implausible_expiry: true, due_at: expect.any(Date) },
    ],
    [
      'another refresh token',
      `update public.profiles set spotify_refresh_token = 'restored';
        update spotify_auth.connections set seen_alive = true`,
      { seen_alive: false, lease_id: null },
    ],
    [
      'another authorization',
      `update public.profiles set spotify_connected_at = '2026-11-01 00:00:00+00'`,
      { authorized_at: new Date('2026-11-01T00:00:00Z') },
    ],
    [
      'a refresh token that the queue knows nothing of',
      `update spotify_auth.connections set due_at = null`,
      { due_at: expect.any(Date) },
    ],
    [
      'the disconnection of a dead grant',
      `update public.profiles set spotify_access_token = null, spotify_refresh_token = null;
        update spotify_auth.connections set due_at = null, reauthorization_required_since = now(),
          reauthorization_reason = 'grant_revoked'`,
      { reauthorization_required_since: null },
    ],
  ];

  test.each(drifts)('heals what bypassed the triggers, once: %s', async (_, drift, healed) => {
    const user = await database.createUser(expiring);
    for (const statement of drift.split(';')) await database.bypassingTriggers(statement);

    expect(await reconcileUntilDone(database, 10)).toBe(1);
    expect(await database.connection(user)).toMatchObject(healed);
    expect(await reconcile(database)).toEqual({ healed: 0, done: true });
  });

  test('leaves in peace whatever is in step: leases, backoffs, dead grants, cleared ones', async () => {
    const users: string[] = [];
    for (const outcome of ['unavailable', 'revoked', 'refreshed', null]) {
      const user = await database.createUser(expiring);
      const { claims } = await database.claim();
      for (const lease of claims.filter(() => outcome !== null)) {
        await database.record(lease, { ...refreshed(lease, 'new'), outcome, retry_after: 600 });
      }
      users.push(user);
    }
    const cleared = await database.createUser({ access: 'access', expires: 600 });
    await database.call('spotify_clear_dead_grants', { grace: '0 seconds', batch_size: 10 });
    users.push(cleared, await database.createUser());
    const before = await Promise.all(users.map((user) => database.rowsOnDisk(user)));

    expect(await reconcileUntilDone(database, 3)).toBe(0);

    expect(await Promise.all(users.map((user) => database.rowsOnDisk(user)))).toEqual(before);
  });

  test('skips a locked profile, without waiting: the next pass returns to it', async () => {
    const user = await database.createUser(expiring);
    await database.bypassingTriggers('delete from spotify_auth.connections');
    const holder = await database.hold('select from public.profiles for update');

    expect(await reconcileUntilDone(database, 10)).toBe(0);
    expect(await database.check(user)).toEqual({ state: 'locked' });

    await holder.commit();
    expect(await reconcile(database)).toMatchObject({ healed: 1 });
  });

  test('goes on once, however many call at the same time; who comes second is done', async () => {
    await Promise.all(Array.from({ length: 20 }, () => database.createUser(expiring)));
    await database.bypassingTriggers('delete from spotify_auth.connections');

    const pages = await Promise.all(Array.from({ length: 8 }, () => reconcile(database, 20)));
    const healed = pages.reduce((sum, page) => sum + page.healed, 0);

    expect(healed).toBe(20);
    expect(await database.owner('select from spotify_auth.connections')).toHaveLength(20);
  });

  describe('after a change did not reach the queue', () => {
    /** Counted by the trigger, which could not get hold of the queue row within a second. */
    async function missChangeOf(user: string): Promise<void> {
      const holder = await database.hold(
        'select from spotify_auth.connections where user_id = $1 for update',
        [user],
      );
      await database.writeProfile(user, { refresh: 'missed' });
      await holder.commit();
    }

    const newlyMissed = async () =>
      (await database.call<Json>('spotify_finish_sweep', { did_its_work: true }))[
        'newly_missed_profile_changes'
      ];

    test('the write succeeds all the same, and is counted once', async () => {
      const user = await database.createUser(expiring);
      await newlyMissed();

      await missChangeOf(user);

      expect(await database.profile(user)).toMatchObject({ spotify_refresh_token: 'missed' });
      expect(await newlyMissed()).toBe(1);
      expect(await newlyMissed()).toBe(0);
    });

    test('a whole pass is due, page after page, and then no more', async () => {
      const users: string[] = [];
      for (let index = 0; index < 6; index += 1) users.push(await database.createUser(expiring));
      await reconcileUntilDone(database, 6);
      const last = users.toSorted().at(-1) as string;
      await missChangeOf(last);

      const answers: Json[] = [];
      for (let page = 0; page < 4; page += 1) answers.push(await reconcile(database, 2));

      expect(answers).toEqual([
        { healed: 0, done: false },
        { healed: 0, done: false },
        { healed: 1, done: false },
        { healed: 0, done: true },
      ]);
      expect(await database.check(last, '1 hour')).toMatchObject({ lease: { refresh_token: 'missed' } });
      expect(await reconcile(database, 2)).toEqual({ healed: 0, done: true });
    });

    test('a pass that had begun before ends, and the next one is whole', async () => {
      const users: string[] = [];
      for (let index = 0; index < 6; index += 1) users.push(await database.createUser(expiring));
      await reconcileUntilDone(database, 6);
      for (let page = 0; page < 2; page += 1) await reconcile(database, 2);
      // On a page that this pass has left behind, and that is not the first of the next one.
      await missChangeOf(users.toSorted()[2] as string);

      expect(await reconcileUntilDone(database, 2)).toBe(0);
      expect(await reconcileUntilDone(database, 2)).toBe(1);
      expect(await reconcile(database, 2)).toEqual({ healed: 0, done: true });
    });
  });

  test('need not be waited for by a check', async () => {
    const user = await database.createUser(expiring);
    await database.bypassingTriggers('update spotify_auth.connections set due_at = null');

    expect(await database.check(user)).toMatchObject({ state: 'connected' });
  });
});
