import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Json, type LeaseRow, refreshed, TestDatabase } from './database.ts';

/** So many that they have met each other: two to three seconds on two cores. */
const LEAST = { claimed: 5_000, checked: 30, written: 500 };

let database: TestDatabase;
let users: string[];

beforeAll(async () => {
  database = await TestDatabase.start();
  await database.owner('insert into auth.users (id) select gen_random_uuid() from generate_series(1, 1000)');
  const rows = await database.owner<{ id: string }>(
    `update public.profiles set spotify_access_token = 'access', spotify_refresh_token = 'first-' || id,
      spotify_token_expires_at = now() + interval '10 minutes' returning id`,
  );
  users = rows.map(({ id }) => id).sort();
});
afterAll(() => database.stop());

test('everybody at once: no deadlock, no failed call, and no lease on a token that is not the stored one', async () => {
  const staleTokens: Json[] = [];
  const counts = { claimed: 0, checked: 0, written: 0, healed: 0 };

  await Promise.all([
    ...[1, 2, 3].map(() => repeatedly(claimAndRecord)),
    ...[1, 2].map(() => repeatedly(checkAndRecord)),
    ...[1, 2, 3, 4].map(() => repeatedly(writeOneProfile)),
    repeatedly(writeManyProfiles),
    repeatedly(async () => {
      const { healed } = await database.call<{ healed: number }>('spotify_reconcile', { batch_size: 100 });
      counts.healed += healed;
    }),
    repeatedly(() => database.call('spotify_clear_dead_grants', { grace: '0 seconds', batch_size: 10 })),
  ]);

  expect(staleTokens).toEqual([]);
  expect(counts.healed).toBe(0);

  async function repeatedly(act: () => Promise<unknown>): Promise<void> {
    while (!hasProvedSomething()) await act();
  }

  function hasProvedSomething(): boolean {
    const { claimed, checked, written } = counts;
    return claimed >= LEAST.claimed && checked >= LEAST.checked && written >= LEAST.written;
  }

  async function claimAndRecord(): Promise<void> {
    const { claims } = await database.claim({ batch_size: 200, lease: '10 seconds' });
    counts.claimed += claims.length;
    staleTokens.push(...(await heldWithAnotherToken(claims)));
    await record(claims);
  }

  async function checkAndRecord(): Promise<void> {
    const user = anyUser();
    await writeProfiles([user]);
    const { lease } = await database.check(user, '1 hour');
    if (!lease) return;
    counts.checked += 1;
    staleTokens.push(...(await heldWithAnotherToken([lease])));
    await record([lease]);
  }

  async function writeOneProfile(): Promise<void> {
    await writeProfiles([anyUser()]);
    counts.written += 1;
  }

  async function writeManyProfiles(): Promise<void> {
    const start = Math.floor(Math.random() * users.length);
    await writeProfiles(users.slice(start, start + 20));
  }
});

/** Outcomes of every kind; refreshed tokens are due again at once. */
async function record(leases: readonly LeaseRow[]): Promise<void> {
  const results = leases.map((lease, index) => ({
    ...lease,
    ...refreshed(lease, `rotated-${lease.lease_id}`),
    expires_in: 600,
    outcome: ['refreshed', 'refreshed', 'released', 'unavailable', 'revoked'][index % 5],
    retry_after: 1,
  }));
  await database.call('spotify_record', { results });
}

/** Reconnects users in one transaction, and lifts the floor between attempts, which would soon leave nothing to claim. */
async function writeProfiles(ids: readonly string[]): Promise<void> {
  await database.owner(
    `do $$ declare one uuid; begin
      foreach one in array '{${ids.join(',')}}'::uuid[] loop
        update public.profiles set spotify_access_token = 'access', spotify_refresh_token = gen_random_uuid()::text,
          spotify_token_expires_at = now() + interval '10 minutes' where id = one;
        update spotify_auth.connections set claimable_at = null, due_at = expires_at where user_id = one;
      end loop;
    end $$`,
  );
}

/** Leases that are still held although the profile has another token than they came with; read in one snapshot. */
function heldWithAnotherToken(leases: readonly LeaseRow[]): Promise<Json[]> {
  return database.owner(
    `select held.* from jsonb_to_recordset($1) as held (user_id uuid, lease_id uuid, refresh_token text)
      join spotify_auth.connections c using (user_id, lease_id)
      join public.profiles p on p.id = held.user_id and p.spotify_refresh_token is distinct from held.refresh_token`,
    [JSON.stringify(leases)],
  );
}

function anyUser(): string {
  return users[Math.floor(Math.random() * users.length)] as string;
}
