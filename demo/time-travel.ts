import type pg from 'pg';
import type { AccountsService } from '../stand-ins/spotify/accounts-service.ts';

/**
 * Lets time pass for one user: moves all times of the connection, in the database and at Spotify, into the past. The state
 * stays the same, because this does not count as an outside write (docs/architecture.md).
 */
export async function letTimePass(
  userId: string,
  seconds: number,
  { pool, spotify }: { readonly pool: pg.Pool; readonly spotify: AccountsService },
): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    await client.query("select set_config('spotify_auth.own_write', 'on', true)");
    await client.query(
      `update public.profiles set
         spotify_token_expires_at = spotify_token_expires_at - make_interval(secs => $2),
         spotify_connected_at = spotify_connected_at - make_interval(secs => $2)
       where id = $1`,
      [userId, seconds],
    );
    await client.query(
      `update spotify_auth.connections set
         expires_at = expires_at - make_interval(secs => $2),
         authorized_at = authorized_at - make_interval(secs => $2),
         due_at = due_at - make_interval(secs => $2),
         claimable_at = claimable_at - make_interval(secs => $2),
         attempted_at = attempted_at - make_interval(secs => $2),
         refreshed_at = refreshed_at - make_interval(secs => $2),
         held_since = held_since - make_interval(secs => $2),
         verify_at = verify_at - make_interval(secs => $2),
         reauthorization_required_since = reauthorization_required_since - make_interval(secs => $2),
         announced_mark = announced_mark - make_interval(secs => $2),
         announced_authorization = announced_authorization - make_interval(secs => $2)
       where user_id = $1`,
      [userId, seconds],
    );
    // The history takes an older authorization for a new one.
    await client.query('delete from spotify_auth.changes where user_id = $1 and changed_at = now()', [
      userId,
    ]);
    // A mark that is older now is still one that other teams have to be told of.
    await client.query(
      'update spotify_auth.shared_state set events_since = events_since - make_interval(secs => $1)',
      [seconds],
    );
    await client.query('commit');
  } catch (error) {
    await client.query('rollback');
    throw error;
  } finally {
    client.release();
  }
  spotify.letTimePass(userId, seconds);
}
