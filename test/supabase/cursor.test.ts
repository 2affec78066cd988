import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { ownToken, TestDatabase } from './database.ts';

const minute = 60;

let database: TestDatabase;

beforeAll(async () => {
  database = await TestDatabase.start();
});
afterAll(() => database.stop());
beforeEach(() => database.clear());

function createUser(expires: number | string): Promise<string> {
  return database.createUser({ access: 'access', refresh: ownToken, expires });
}

/** A claim of two, from where an earlier one ended. */
async function claimTwo(due_from: string | null): Promise<{ users: string[]; dueUpTo: string | null }> {
  const { claims, due_up_to } = await database.claim({ batch_size: 2, due_from });
  return { users: claims.map(({ user_id }) => user_id), dueUpTo: due_up_to };
}

/** Claims as a sweep does: each from where the one before ended, until nothing comes any more. */
async function claimAll(): Promise<string[][]> {
  const batches: string[][] = [];
  let dueFrom: string | null = null;
  for (;;) {
    const { users, dueUpTo } = await claimTwo(dueFrom);
    if (users.length === 0 && dueUpTo === null) return batches;
    batches.push(users);
    dueFrom = dueUpTo;
  }
}

describe('a claim that goes on where another one ended', () => {
  test('gets what expires next, in order, until the batch is not full', async () => {
    const users: string[] = [];
    for (let index = 1; index <= 5; index += 1) users.push(await createUser(index * minute));

    expect(await claimAll()).toEqual([users.slice(0, 2), users.slice(2, 4), users.slice(4)]);
  });

  test('is told where: at the expiry of the last of a full batch, and nowhere when it was not full', async () => {
    await createUser(minute);
    const last = await createUser(2 * minute);
    const expiry = (await database.connection(last))?.['expires_at'] as Date;

    const first = await claimTwo(null);
    expect(Date.parse(first.dueUpTo ?? '')).toBe(expiry.getTime());
    expect(await claimTwo(first.dueUpTo)).toEqual({ users: [], dueUpTo: null });
  });

  test('misses none of many that expire at the same moment', async () => {
    const users: string[] = [];
    for (let index = 0; index < 7; index += 1) users.push(await createUser('2026-01-01 00:00:00.123456'));

    const claimed = (await claimAll()).flat();

    expect(claimed.toSorted()).toEqual(users.toSorted());
  });

  test('leaves what has become due before that place to the first batch that is not full', async () => {
    await createUser(minute);
    await createUser(2 * minute);
    const { dueUpTo } = await claimTwo(null);
    const rest = [await createUser(3 * minute), await createUser(4 * minute), await createUser(5 * minute)];
    const newlyDue = await createUser(-minute);

    const second = await claimTwo(dueUpTo);
    expect(second.users).toEqual(rest.slice(0, 2));
    const third = await claimTwo(second.dueUpTo);
    expect(third.users.toSorted()).toEqual([rest[2], newlyDue].toSorted());
    // Full, though by one from before: it goes on after the one that was found at its place.
    expect(third.dueUpTo).not.toBeNull();
    expect(await claimTwo(third.dueUpTo)).toEqual({ users: [], dueUpTo: null });
  });

  test('finds in that batch what was locked as others were claimed', async () => {
    const locked = await createUser(minute);
    const users = [await createUser(2 * minute), await createUser(3 * minute)];
    const holder = await database.hold('select from spotify_auth.connections where user_id = $1 for update', [
      locked,
    ]);
    const first = await claimTwo(null);
    expect(first.users).toEqual(users);
    await holder.commit();

    expect((await claimTwo(first.dueUpTo)).users).toEqual([locked]);
  });

  test('finds in that batch what was given back', async () => {
    const users = [await createUser(minute), await createUser(2 * minute)];
    const { claims, due_up_to } = await database.claim({ batch_size: 2 });
    await database.recordAll(claims.slice(0, 1).map((lease) => ({ ...lease, outcome: 'released' })));

    expect((await claimTwo(due_up_to)).users).toEqual(users.slice(0, 1));
  });

  test('is not kept from those by many that are due after that place', async () => {
    const users: string[] = [];
    for (let index = 1; index <= 8; index += 1) users.push(await createUser(index * minute));
    const { dueUpTo } = await claimTwo(null);
    const newlyDue = [
      await createUser(-minute),
      await createUser(-2 * minute),
      await createUser(-3 * minute),
    ];

    const claimed: string[] = [];
    for (
      let from = dueUpTo, batch = await claimTwo(from);
      batch.users.length > 0;
      batch = await claimTwo(from)
    ) {
      claimed.push(...batch.users);
      from = batch.dueUpTo;
    }

    expect(claimed.toSorted()).toEqual([...users.slice(2), ...newlyDue].toSorted());
  });

  test('takes nothing that expires outside the window', async () => {
    await createUser(minute);
    await createUser(2 * minute);
    await createUser(50 * minute);
    const { dueUpTo } = await claimTwo(null);

    expect(await claimTwo(dueUpTo)).toEqual({ users: [], dueUpTo: null });
  });

  test('starts from the beginning when the place is outside the window by now', async () => {
    const user = await createUser(minute);
    expect((await claimTwo('2100-01-01')).users).toEqual([user]);
  });
});
