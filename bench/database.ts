import pg from 'pg';
import { runSql } from '../stand-ins/supabase/postgres.ts';

/** A new connection; dispose of it to end it. */
export async function connect(url: string): Promise<pg.Client & AsyncDisposable> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() });
}

/**
 * Replaces all profiles with new ones, 1.2 kB wide as in Bondhu, whose tokens expire within half an hour.
 * Bypasses triggers and foreign keys, as a restore does; `auth.users` stays empty.
 */
export async function fillProfiles(superuserUrl: string, count: number): Promise<void> {
  await runSql(
    superuserUrl,
    `set session_replication_role = replica;
    truncate public.profiles cascade;
    insert into public.profiles
      (id, personality_data, spotify_access_token, spotify_refresh_token, spotify_token_expires_at,
       spotify_user_id, spotify_user_email, spotify_connected_at)
    select id, jsonb_build_object('text', repeat('personality ', 55)), 'BQ' || repeat(md5('access' || id), 6),
      'AQ' || repeat(md5('refresh' || id), 4), now() + random() * interval '30 minutes',
      'user' || id, id || '@example.com', now() - random() * interval '90 days'
    from (select gen_random_uuid() as id from generate_series(1, ${count}) order by 1) new`,
  );
  await runSql(superuserUrl, 'vacuum (analyze) public.profiles');
}

/**
 * Fills the queue from the profiles; all connections were refreshed half an hour ago.
 *
 * @param state with `half are dead`, a fifth of the others is leased or backing off, and due afterwards
 */
export async function fillQueue(superuserUrl: string, state: 'all are due' | 'half are dead'): Promise<void> {
  const someAreNot = state === 'half are dead';
  await runSql(
    superuserUrl,
    `set session_replication_role = replica;
    truncate spotify_auth.connections cascade;
    insert into spotify_auth.connections (user_id, expires_at, authorized_at, refreshed_at, refreshes, seen_alive, due_at, lease_id, claimable_at,
      failures, reauthorization_required_since, reauthorization_reason)
    select id, spotify_token_expires_at, spotify_connected_at, now() - interval '30 minutes', 1, true,
      case when not is_dead then case when is_held then now() + interval '45 minutes' else spotify_token_expires_at end end,
      case when is_held and is_leased then gen_random_uuid() end,
      case when is_held then now() + interval '5 minutes' end,
      case when is_held and not is_leased then 1 else 0 end,
      case when is_dead then now() - interval '1 day' end,
      case when is_dead then 'grant_revoked' end
    from (
      select *, ${someAreNot} and byte0 < 128 as is_dead, ${someAreNot} and byte0 >= 128 and byte1 < 51 as is_held, byte2 < 128 as is_leased
      from (select *, get_byte(uuid_send(id), 0) as byte0, get_byte(uuid_send(id), 1) as byte1, get_byte(uuid_send(id), 2) as byte2
        from public.profiles) profile) state;
    insert into spotify_auth.token_hashes
      select id, spotify_auth.hash_token(spotify_refresh_token) from public.profiles;
    truncate spotify_auth.shared_state;
    insert into spotify_auth.shared_state (backfilled, population)
      select true, count(*) from spotify_auth.connections where due_at is not null`,
  );
  await runSql(superuserUrl, 'vacuum (analyze) spotify_auth.connections, spotify_auth.token_hashes');
  // Otherwise the calls that are measured next would also write what the filling left in memory.
  await runSql(superuserUrl, 'checkpoint');
}
