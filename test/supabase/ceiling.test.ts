import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { ownToken, TestDatabase } from './database.ts';

const expiring = { access: 'access', refresh: ownToken, expires: 60 } as const;

let database: TestDatabase;

beforeAll(async () => {
  database = await TestDatabase.start();
});
beforeEach(() => database.clear());
afterAll(() => database.stop());

async function createUsers(count: number): Promise<void> {
  for (let created = 0; created < count; created += 1) await database.createUser(expiring);
}

describe('claims with a ceiling on calls per second', () => {
  test('get the next stretch of time that is free, one after the other', async () => {
    await createUsers(12);
    const claim = () => database.claim({ batch_size: 4, calls_per_second: 0.1 });

    const starts = [await claim(), await claim(), await claim()].map(({ calls_start_in }) => calls_start_in);

    expect(starts).toEqual([0, expect.closeTo(40, -1), expect.closeTo(80, -1)]);
  });

  test('share it however many ask at once', async () => {
    await createUsers(40);

    const claims = await Promise.all(
      Array.from({ length: 8 }, () =>
        database.claim({ batch_size: 5, calls_per_second: 0.05, lease: '1 hour' }),
      ),
    );

    const stretches = claims
      .filter((claim) => claim.claims.length > 0)
      .map((claim) => ({ start: claim.calls_start_in, seconds: claim.claims.length / 0.05 }))
      .toSorted((one, other) => one.start - other.start);
    for (const [index, { start, seconds }] of stretches.entries()) {
      expect(stretches[index + 1]?.start ?? Number.POSITIVE_INFINITY).toBeGreaterThan(start + seconds - 5);
    }
    expect(stretches.length).toBeGreaterThan(1);
  });

  test('take nothing as long as a lease might lapse before its call is due, and say when to come again', async () => {
    await createUsers(12);
    const claim = () => database.claim({ batch_size: 4, calls_per_second: 0.1, lease: '2 minutes' });
    expect((await claim()).claims).toHaveLength(4);

    const tooEarly = await claim();

    // 40 s are taken, 40 s more are needed, and they have to be over in 60 s.
    expect(tooEarly).toMatchObject({ claims: [], next_claim_in: expect.closeTo(20, -1), calls_start_in: 0 });
    await database.owner(
      "update spotify_auth.shared_state set calls_reserved_until = calls_reserved_until - interval '21 s'",
    );
    expect((await claim()).claims).toHaveLength(4);
  });

  test('reserve nothing when they come back empty', async () => {
    expect(await database.claim({ calls_per_second: 0.1 })).toMatchObject({ claims: [], calls_start_in: 0 });
    await createUsers(1);
    expect(await database.claim({ calls_per_second: 0.1 })).toMatchObject({ calls_start_in: 0 });
  });

  test('are of no concern to those without', async () => {
    await createUsers(2);
    await database.claim({ batch_size: 1, calls_per_second: 0.01 });
    expect(await database.claim()).toMatchObject({ claims: [expect.anything()], calls_start_in: 0 });
  });
});
