import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type Json, type LeaseRow, ownToken, refreshed, TestDatabase, tokenOf } from './database.ts';

const expiring = { access: 'access', refresh: ownToken, expires: 600, connectedAt: '2026-09-01T00:00:00Z' };

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

async function claimForNewUser(columns = {}): Promise<LeaseRow> {
  const user = await database.createUser({ ...expiring, ...columns });
  const { claims } = await database.claim();
  return claims.find((lease) => lease.user_id === user) as LeaseRow;
}

/** Records a batch and returns the verdicts in the order of the results. */
async function recordAll(results: readonly Json[]): Promise<(string | undefined)[]> {
  const { verdicts } = await database.recordAll(results);
  expect(verdicts).toHaveLength(results.length);
  return results.map((result) => verdicts.find((each) => each.lease_id === result['lease_id'])?.verdict);
}

function resultOf(lease: LeaseRow, outcome: Json): Json {
  return { user_id: lease.user_id, lease_id: lease.lease_id, leased_at: lease.leased_at, ...outcome };
}

function identityOf({ user_id, lease_id }: LeaseRow): Json {
  return { user_id, lease_id };
}

function revoked({ refresh_token }: LeaseRow): Json {
  return { outcome: 'revoked', used_refresh_token: refresh_token };
}

const outcomes: Record<string, (lease: LeaseRow) => Json> = {
  'a success with a new refresh token': (lease) => refreshed(lease, 'new'),
  'a new refresh token and nothing else': (lease) => ({
    outcome: 'refresh_token_only',
    used_refresh_token: lease.refresh_token,
    refresh_token: 'new',
    retry_after: 60,
  }),
  'a success without a new refresh token': (lease) => refreshed(lease),
  'a success with the same refresh token': (lease) => refreshed(lease, lease.refresh_token),
  revoked,
  throttled: () => ({ outcome: 'throttled', retry_after: 60 }),
  unavailable: () => ({ outcome: 'unavailable', retry_after: 60 }),
  rejected: () => ({ outcome: 'rejected', retry_after: 60 }),
  released: () => ({ outcome: 'released' }),
};
/** Outcomes after which only the new token may be alive. */
const rotations = ['a success with a new refresh token', 'a new refresh token and nothing else'];

/** What happens between a claim and its outcome, and which outcomes count after it. */
const situations: {
  when: string;
  applied: 'all' | 'rotated' | 'none';
  happen: (id: string) => Promise<unknown>;
}[] = [
  { when: 'nothing happened meanwhile', applied: 'all', happen: async () => {} },
  { when: 'the lease lapsed', applied: 'all', happen: (id) => database.letTimePass(id, '1 hour') },
  {
    when: 'the lease lapsed and another process took one',
    applied: 'rotated',
    happen: async (id) => {
      await database.letTimePass(id, '5 minutes');
      await claim();
    },
  },
  {
    when: 'another process found the grant dead',
    applied: 'rotated',
    happen: async (id) => {
      await database.letTimePass(id, '5 minutes');
      const lease = await claim();
      await database.record(lease, revoked(lease));
    },
  },
  {
    when: 'another process refreshed without a new refresh token',
    applied: 'rotated',
    happen: async (id) => {
      await database.letTimePass(id, '5 minutes');
      const lease = await claim();
      await database.record(lease, refreshed(lease));
    },
  },
  {
    when: 'Bondhu stored another access token',
    applied: 'rotated',
    happen: (id) => database.writeProfile(id, { access: 'outside', expires: 3600 }),
  },
  {
    when: 'the user reconnected and got the same refresh token',
    applied: 'rotated',
    happen: async (id) => {
      await database.writeProfile(id, { access: null, refresh: null, expires: null, connectedAt: null });
      await database.writeProfile(id, { ...expiring, connectedAt: '2026-11-01T00:00:00Z' });
    },
  },
  {
    when: 'Bondhu stored another refresh token',
    applied: 'none',
    happen: (id) => database.writeProfile(id, { access: 'outside', refresh: 'outside', expires: 3600 }),
  },
  {
    when: 'a restore brought another refresh token, past the triggers',
    applied: 'none',
    happen: (id) =>
      database.bypassingTriggers(
        `update public.profiles set spotify_refresh_token = 'restored' where id = $1`,
        [id],
      ),
  },
  {
    when: 'the user disconnected',
    applied: 'none',
    happen: (id) =>
      database.writeProfile(id, { access: null, refresh: null, expires: null, connectedAt: null }),
  },
  {
    when: 'the user deleted the account',
    applied: 'none',
    happen: (id) => database.owner('delete from auth.users where id = $1', [id]),
  },
];

describe.each(situations)('when $when', ({ when, applied, happen }) => {
  test.each(Object.keys(outcomes))('%s', async (name) => {
    const outcomeOf = outcomes[name] as (lease: LeaseRow) => Json;
    // What says nothing about a token needs no token: a lease that survived a restore is enough.
    const needsToken = name.startsWith('a ') || name === 'revoked';
    const counts =
      applied === 'all' ||
      (applied === 'rotated' && rotations.includes(name)) ||
      (when.startsWith('a restore') && !needsToken);
    const lease = await claimForNewUser();
    await happen(lease.user_id);
    const before = await database.rowsOnDisk(lease.user_id);

    const verdict = await database.record(lease, outcomeOf(lease));

    expect(verdict).toBe(counts ? 'applied' : 'stale');
    if (!counts) {
      expect(await database.rowsOnDisk(lease.user_id)).toEqual(before);
    } else if (rotations.includes(name)) {
      const isSuccess = name.startsWith('a success');
      expect(await database.profile(lease.user_id)).toMatchObject({ spotify_refresh_token: 'new' });
      expect(await database.connection(lease.user_id)).toMatchObject({
        lease_id: null,
        claimable_at: isSuccess ? null : expect.any(Date),
        failures: isSuccess ? 0 : expect.any(Number),
        reauthorization_required_since: null,
        reauthorization_reason: null,
      });
    }
  });
});

describe('an outcome that is recorded', () => {
  test('refreshed, stores the tokens and the expiry counted from the lease, however late it comes', async () => {
    const lease = await claimForNewUser();
    const anHourAgo = new Date(Date.parse(lease.leased_at) - 50 * 60_000).toISOString();

    await database.record(
      { ...lease, leased_at: anHourAgo },
      { ...refreshed(lease, 'new'), access_token: 'fresh' },
    );

    const expiry = new Date(Date.parse(anHourAgo) + 3600_000);
    expect(await database.profile(lease.user_id)).toMatchObject({
      spotify_access_token: 'fresh',
      spotify_refresh_token: 'new',
      spotify_token_expires_at: expiry,
      spotify_connected_at: new Date(expiring.connectedAt),
    });
    expect(await database.connection(lease.user_id)).toMatchObject({ expires_at: expiry, due_at: expiry });
  });

  test('refreshed without a refresh token, keeps the stored one', async () => {
    const lease = await claimForNewUser();
    await database.record(lease, refreshed(lease));
    expect(await database.profile(lease.user_id)).toMatchObject({
      spotify_refresh_token: tokenOf(lease.user_id),
    });
  });

  test('rotated, stores the new refresh token alone, and asks again later', async () => {
    const lease = await claimForNewUser();
    const { spotify_access_token, spotify_token_expires_at } = (await database.profile(lease.user_id)) ?? {};

    await database.record(lease, outcomes['a new refresh token and nothing else']?.(lease) ?? {});

    expect(await database.profile(lease.user_id)).toMatchObject({
      spotify_access_token,
      spotify_refresh_token: 'new',
      spotify_token_expires_at,
    });
    expect(await database.claim()).toMatchObject({ claims: [], next_claim_in: expect.any(Number) });
    await database.letTimePass(lease.user_id, '1 minute');
    expect(await claim()).toMatchObject({ refresh_token: 'new', failures: 1 });
  });

  test('refreshed, leaves nothing due and forgets earlier failures', async () => {
    const lease = await claimForNewUser();
    await database.record(lease, { outcome: 'unavailable', retry_after: 60 });
    await database.letTimePass(lease.user_id, '1 minute');
    const second = await claim();
    expect(second.failures).toBe(1);

    await database.record(second, refreshed(second));

    expect(await database.claim()).toMatchObject({ claims: [], next_claim_in: null });
    expect(await database.connection(lease.user_id)).toMatchObject({ failures: 0, lease_id: null });
  });

  test('revoked, marks the grant dead, keeps its tokens and is not claimed again for a day', async () => {
    const lease = await claimForNewUser();

    await database.record(lease, revoked(lease));

    expect(await database.profile(lease.user_id)).toMatchObject({
      spotify_access_token: 'access',
      spotify_refresh_token: tokenOf(lease.user_id),
    });
    expect(await database.connection(lease.user_id)).toMatchObject({
      reauthorization_reason: 'grant_revoked',
      due_at: null,
    });
    expect(await database.check(lease.user_id)).toMatchObject({ state: 'reauthorization_required' });
    await database.letTimePass(lease.user_id, '23 hours 59 minutes');
    expect(await database.claim()).toMatchObject({ claims: [], next_claim_in: null });
  });

  test('of no use to the tokens, does not touch the profile', async () => {
    // The last one makes everybody wait.
    for (const outcome of ['unavailable', 'rejected', 'released', 'revoked', 'throttled']) {
      const lease = await claimForNewUser();
      const { profile } = await database.rowsOnDisk(lease.user_id);

      expect(await database.record(lease, { ...revoked(lease), outcome, retry_after: 60 })).toBe('applied');

      expect((await database.rowsOnDisk(lease.user_id))['profile']).toEqual(profile);
    }
  });
});

describe('a repeated call', () => {
  test.each(Object.keys(outcomes))('answers already_applied and changes nothing: %s', async (name) => {
    const lease = await claimForNewUser();
    const result = resultOf(lease, (outcomes[name] as (lease: LeaseRow) => Json)(lease));
    expect(await recordAll([result])).toEqual(['applied']);
    const before = await database.rowsOnDisk(lease.user_id);

    expect(await recordAll([result])).toEqual(['already_applied']);

    expect(await database.rowsOnDisk(lease.user_id)).toEqual(before);
  });

  test('is applied again if the used refresh token was written back: only ours may be alive', async () => {
    const lease = await claimForNewUser();
    const outcome = refreshed(lease, 'new');
    await database.record(lease, outcome);
    await database.writeProfile(lease.user_id, { refresh: ownToken });

    expect(await database.record(lease, outcome)).toBe('applied');

    expect(await database.profile(lease.user_id)).toMatchObject({ spotify_refresh_token: 'new' });
  });
});

describe('a batch', () => {
  test('says what became of each result', async () => {
    const applied = await claimForNewUser();
    const stale = await claimForNewUser();
    await database.writeProfile(stale.user_id, { access: 'outside' });

    const results = [resultOf(applied, refreshed(applied)), resultOf(stale, refreshed(stale))];
    const { verdicts } = await database.recordAll(results);

    expect(verdicts).toHaveLength(2);
    expect(verdicts).toContainEqual({ ...identityOf(applied), verdict: 'applied' });
    expect(verdicts).toContainEqual({ ...identityOf(stale), verdict: 'stale' });
  });

  test('of nothing is nothing', async () => {
    expect(await recordAll([])).toEqual([]);
  });

  test('applies what it can while one profile is locked, and never waits for that one', async () => {
    const leases = [await claimForNewUser(), await claimForNewUser(), await claimForNewUser()];
    const [first, locked, last] = leases as [LeaseRow, LeaseRow, LeaseRow];
    const holder = await database.hold(`update public.profiles set full_name = 'Alice' where id = $1`, [
      locked.user_id,
    ]);
    const results = leases.map((lease) => resultOf(lease, refreshed(lease, `new-${lease.user_id}`)));

    expect(await recordAll(results)).toEqual(['applied', 'busy', 'applied']);

    for (const { user_id } of [first, last]) {
      expect(await database.profile(user_id)).toMatchObject({ spotify_refresh_token: `new-${user_id}` });
    }
    expect(await database.profile(locked.user_id)).toMatchObject({
      spotify_refresh_token: tokenOf(locked.user_id),
    });

    await holder.commit();
    expect(await recordAll(results)).toEqual(['already_applied', 'applied', 'already_applied']);
  });

  test('leaves every other row exactly as it was', async () => {
    const others = await Promise.all([
      database.createUser({ ...expiring, expires: 3000 }),
      database.createUser({ access: 'access', expires: 600 }),
      database.createUser(),
    ]);
    const leased = await claimForNewUser();
    const lease = await claimForNewUser();
    const bystanders = [...others, leased.user_id];
    const before = await Promise.all(bystanders.map((id) => database.rowsOnDisk(id)));

    expect(await database.record(lease, refreshed(lease, 'new'))).toBe('applied');

    expect(await Promise.all(bystanders.map((id) => database.rowsOnDisk(id)))).toEqual(before);
  });

  const flaws: [string, (good: Json) => Json[]][] = [
    ['an unknown outcome', (good) => [{ ...good, outcome: 'celebrated' }]],
    ['no outcome', (good) => [{ ...good, outcome: null }]],
    ['a success without an access token', (good) => [{ ...good, access_token: null }]],
    ['a success with an empty access token', (good) => [{ ...good, access_token: '' }]],
    [
      'a success with an access token of 5,000 bytes',
      (good) => [{ ...good, access_token: 'x'.repeat(5000) }],
    ],
    ['a success with an empty refresh token', (good) => [{ ...good, refresh_token: '' }]],
    ['a success without an expiry', (good) => [{ ...good, expires_in: null }]],
    ['a success that has expired', (good) => [{ ...good, expires_in: 0 }]],
    ['a success without the time of its lease', (good) => [{ ...good, leased_at: null }]],
    ['a success without the token that was used', (good) => [{ ...good, used_refresh_token: null }]],
    [
      'a rotation without the new refresh token',
      (good) => [{ ...good, outcome: 'refresh_token_only', refresh_token: null }],
    ],
    [
      'a rotation without the token that was used',
      (good) => [{ ...good, outcome: 'refresh_token_only', refresh_token: 'new', used_refresh_token: null }],
    ],
    ['two results of one user', (good) => [good, { ...good, outcome: 'released' }]],
  ];

  test.each(flaws)('with %s is refused whole', async (_, flawed) => {
    const good = await claimForNewUser();
    const bad = await claimForNewUser();
    const users = [good.user_id, bad.user_id];
    const before = await Promise.all(users.map((id) => database.rowsOnDisk(id)));

    const recording = recordAll([
      resultOf(good, refreshed(good, 'new')),
      ...flawed(resultOf(bad, refreshed(bad, 'new'))),
    ]);

    await expect(recording).rejects.toMatchObject({ code: '22023', message: /^spotify_record: / });
    expect(await Promise.all(users.map((id) => database.rowsOnDisk(id)))).toEqual(before);
  });

  test('of nothing fails where nothing can be written: so the drain of the rescue queue finds out', async () => {
    expect(await recordAll([])).toEqual([]);
    const client = await database.connect(database.urls.serviceRoleUrl);
    await client.query('begin read only');
    await expect(client.query("select public.spotify_record('[]')")).rejects.toMatchObject({ code: '25006' });
    await client.query('rollback');
    client.release();
  });
});
