import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type LeaseRow, ownToken, refreshed, TestDatabase } from './database.ts';

const expiring = { access: 'access', refresh: ownToken, expires: 60 } as const;

let database: TestDatabase;

beforeAll(async () => {
  database = await TestDatabase.start();
});
beforeEach(() => database.clear());
afterAll(() => database.stop());

async function claimOne(): Promise<LeaseRow> {
  await database.createUser(expiring);
  const { claims } = await database.claim();
  return claims[0] as LeaseRow;
}

describe('after Spotify asked one caller to wait', () => {
  test('no lease is granted until then, and every caller is told for how long', async () => {
    const lease = await claimOne();
    const other = await database.createUser(expiring);

    const recorded = await database.recordAll([{ ...lease, outcome: 'throttled', retry_after: 3_600 }]);

    expect(recorded.not_before_in).toBeCloseTo(3_600, -1);
    const claimed = await database.claim();
    expect(claimed).toMatchObject({ claims: [], next_claim_in: null });
    expect(claimed.not_before_in).toBeCloseTo(3_600, -1);
    expect(await database.check(other)).toMatchObject({
      state: 'backing_off',
      retry_in: expect.closeTo(3_600, -1),
      lease: null,
    });
    expect(await database.call('spotify_connection_stats')).toMatchObject({
      not_before_in: expect.closeTo(3_600, -1),
    });

    await database.letTimePass(other, '61 minutes');
    expect((await database.claim()).claims.map(({ user_id }) => user_id)).toContain(other);
  });

  test('a later and shorter wait does not shorten it', async () => {
    const [one, two] = [await claimOne(), await claimOne()];
    await database.record(one, { outcome: 'throttled', retry_after: 600 });

    const recorded = await database.recordAll([{ ...two, outcome: 'throttled', retry_after: 5 }]);

    expect(recorded.not_before_in).toBeCloseTo(600, -1);
  });

  test('it holds even if the lease of that call is over', async () => {
    const lease = await claimOne();
    await database.writeProfile(lease.user_id, { access: 'from outside' });

    const recorded = await database.recordAll([{ ...lease, outcome: 'throttled', retry_after: 60 }]);

    expect(recorded).toMatchObject({
      verdicts: [{ verdict: 'stale' }],
      not_before_in: expect.closeTo(60, -1),
    });
  });

  test('it is a day at most', async () => {
    const lease = await claimOne();

    const recorded = await database.recordAll([{ ...lease, outcome: 'throttled', retry_after: 1e9 }]);

    expect(recorded.not_before_in).toBeCloseTo(86_400, -1);
  });

  test('what was under way is recorded all the same', async () => {
    const [one, two] = [await claimOne(), await claimOne()];
    await database.record(one, { outcome: 'throttled', retry_after: 600 });

    expect(await database.record(two, refreshed(two, 'rotated'))).toBe('applied');
  });
});

describe('after Spotify refused our client', () => {
  test('no function calls it for a minute, and the connection is unchanged', async () => {
    const lease = await claimOne();
    const before = await database.profile(lease.user_id);

    const recorded = await database.recordAll([{ ...lease, outcome: 'client_rejected' }]);

    expect(recorded.not_before_in).toBeCloseTo(60, -1);
    expect(await database.profile(lease.user_id)).toEqual(before);
    expect(await database.connection(lease.user_id)).toMatchObject({
      lease_id: null,
      claimable_at: null,
      failures: 0,
      reauthorization_required_since: null,
    });
  });
});
