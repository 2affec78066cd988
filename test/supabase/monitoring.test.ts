import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { SCHEMA_VERSION } from '../../lambda/sweeper/diagnose.ts';
import { type LeaseRow, ownToken, TestDatabase } from './database.ts';

const minute = 60;
const expiring = { access: 'access', refresh: ownToken, expires: 10 * minute };

let database: TestDatabase;

beforeAll(async () => {
  database = await TestDatabase.start();
});
afterAll(() => database.stop());
beforeEach(() => database.clear());

async function claim(): Promise<LeaseRow> {
  return (await database.claim()).claims[0] as LeaseRow;
}

function countDue(refreshWithin = '40 minutes'): Promise<string> {
  return database.call('spotify_due_count', { refresh_within: refreshWithin });
}

describe('the number of due connections', () => {
  test('counts what expires within the time given, and what has no known expiry', async () => {
    await database.createUser(expiring);
    await database.createUser({ ...expiring, expires: -minute });
    await database.createUser({ refresh: ownToken });
    await database.createUser({ ...expiring, expires: 50 * minute });
    await database.createUser({ access: 'access', expires: minute });
    await database.createUser();

    expect(await countDue()).toBe('3');
    expect(await countDue('5 minutes')).toBe('2');
    expect(await countDue('1 hour')).toBe('4');
  });

  test.each([
    ['leased', {}],
    ['backing off', { outcome: 'unavailable', retry_after: 600 }],
    ['given back', { outcome: 'released' }],
  ])('counts one that is %s', async (_, outcome) => {
    await database.createUser(expiring);
    const lease = await claim();
    if ('outcome' in outcome) await database.record(lease, outcome);

    expect(await countDue()).toBe('1');
    expect(await countDue('15 minutes')).toBe('1');
    expect(await countDue('5 minutes')).toBe('0');
  });

  test('counts one whose lease has lapsed, whatever the time given', async () => {
    const user = await database.createUser(expiring);
    await claim();
    await database.letTimePass(user, '6 minutes');

    expect(await countDue()).toBe('1');
    expect(await countDue('5 minutes')).toBe('1');
  });
});

describe('the statistics', () => {
  test('of an empty table are zeros', async () => {
    expect(await database.call('spotify_connection_stats')).toEqual({
      connected: 0,
      due: 0,
      expired: 0,
      waiting_for_reauthorization: 0,
      oldest_overdue_seconds: 0,
      schema_version: expect.any(Number),
      reauthorizations_due: 0,
      last_sweep_finished_at: null,
      seconds_since_last_sweep: null,
      held: 0,
      breaker_open_seconds: null,
      nearly_all_revoked: false,
      implausible_expiries: 0,
      shared_tokens: 0,
      missed_profile_changes: expect.any(Number),
      not_before_in: null,
    });
  });

  test('count each connection where it belongs', async () => {
    await database.createUser(expiring);
    const lease = await claim();
    await database.record(lease, { outcome: 'revoked', used_refresh_token: lease.refresh_token });
    await database.createUser({ ...expiring, expires: 50 * minute });
    await database.createUser(expiring);
    await database.createUser({ ...expiring, expires: -2 * minute });
    await database.createUser({ refresh: ownToken });
    await database.createUser({ access: 'access', expires: -minute });
    await database.createUser();

    expect(await database.call('spotify_connection_stats')).toEqual({
      connected: 4,
      due: 3,
      expired: 2,
      waiting_for_reauthorization: 2,
      oldest_overdue_seconds: expect.closeTo(2 * minute, -1),
      schema_version: expect.any(Number),
      reauthorizations_due: 0,
      last_sweep_finished_at: null,
      seconds_since_last_sweep: null,
      held: 0,
      breaker_open_seconds: null,
      nearly_all_revoked: false,
      implausible_expiries: 0,
      shared_tokens: 0,
      missed_profile_changes: expect.any(Number),
      not_before_in: null,
    });
  });
});

test('the schema has the version that the code needs: a migration raises both or none', async () => {
  const statistics = await database.call<{ schema_version: number }>('spotify_connection_stats');
  expect(statistics.schema_version).toBe(SCHEMA_VERSION);
});
