import { answerQuestions } from '../child.ts';
import { connect } from '../database.ts';
import { measureUsage } from '../usage.ts';

interface Profile {
  readonly spotify_refresh_token: string;
}

interface TokenResponse {
  readonly access_token: string;
  readonly expires_in: number;
}

/**
 * The program that one would write first: one user after another, one read, one request and one update each. It talks to PostgreSQL
 * directly, which is faster than through Supabase's REST interface, and to tables without our triggers.
 */
const calls = {
  refresh({ databaseUrl, tokenUrl, count }: { databaseUrl: string; tokenUrl: string; count: number }) {
    return measureUsage(async () => {
      await using client = await connect(databaseUrl);
      const { rows } = await client.query<{ id: string }>('select id from public.profiles limit $1', [count]);
      for (const { id } of rows) {
        const profile = await client.query<Profile>('select * from public.profiles where id = $1', [id]);
        const response = await fetch(tokenUrl, {
          method: 'POST',
          headers: { authorization: `Basic ${btoa('client:secret')}` },
          body: new URLSearchParams({
            grant_type: 'refresh_token',
            refresh_token: profile.rows[0]?.spotify_refresh_token ?? '',
          }),
        });
        const { access_token, expires_in } = (await response.json()) as TokenResponse;
        await client.query(
          `update public.profiles set spotify_access_token = $2,
            spotify_token_expires_at = now() + make_interval(secs => $3) where id = $1`,
          [id, access_token, expires_in],
        );
      }
    });
  },
};

export type ObviousProgram = typeof calls;

answerQuestions(calls);
