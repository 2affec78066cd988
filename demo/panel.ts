import type pg from 'pg';
import type { Stack } from '../local/stack.ts';
import type { DatabaseCondition, SpotifyCondition } from './live-view-events.ts';
import { letTimePass } from './time-travel.ts';

const HOUR_IN_SECONDS = 3_600;
/** The longest that six calendar months can be. */
const SIX_MONTHS_IN_SECONDS = 184 * 24 * HOUR_IN_SECONDS;
const RATE_LIMIT_SECONDS = 10;

/** What a service that reads the user's token from `profiles` and calls Spotify with it gets to see. */
export type TokenUse =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'refused' }
  | { readonly kind: 'no-token' };

/** What a person can do to time, to Spotify and to Supabase, and to the signed-in user's own connection. */
export class Panel {
  readonly #stack: Stack;
  readonly #pool: pg.Pool;
  #spotify: SpotifyCondition = 'up';
  #database: DatabaseCondition = 'up';
  #sweep: Promise<unknown> | undefined;

  constructor(stack: Stack, pool: pg.Pool) {
    this.#stack = stack;
    this.#pool = pool;
  }

  get conditions() {
    return { spotify: this.#spotify, database: this.#database, isSweeping: this.#sweep !== undefined };
  }

  /** Lets the hour pass that an access token lives. */
  async expireToken(userId: string): Promise<void> {
    await this.#letTimePass(userId, HOUR_IN_SECONDS);
  }

  async letSixMonthsPass(userId: string): Promise<void> {
    await this.#letTimePass(userId, SIX_MONTHS_IN_SECONDS);
  }

  /** Does what the user can do on Spotify's account page. The access token lives on until it expires, as there. */
  revokeGrant(userId: string): void {
    this.#stack.spotify.revokeGrants(userId);
  }

  async tryToken(userId: string): Promise<TokenUse> {
    const { rows } = await this.#pool.query<{ token: string | null }>(
      'select spotify_access_token as token from public.profiles where id = $1',
      [userId],
    );
    const token = rows[0]?.token ?? null;
    if (token === null) return { kind: 'no-token' };
    const response = await fetch(`${this.#stack.spotify.url}/v1/me`, {
      headers: { authorization: `Bearer ${token}` },
    });
    return { kind: response.ok ? 'accepted' : 'refused' };
  }

  setSpotify(condition: SpotifyCondition): void {
    const { spotify } = this.#stack;
    switch (condition) {
      case 'up':
        spotify.setFault(undefined);
        break;
      case 'down':
        spotify.setFault({ kind: 'status', status: 503 });
        break;
      case 'rate-limited':
        spotify.setFault({ kind: 'status', status: 429, retryAfter: String(RATE_LIMIT_SECONDS) });
    }
    this.#spotify = condition;
  }

  async setDatabase(condition: DatabaseCondition): Promise<void> {
    await this.#stack.supabase.setFault(condition === 'down' ? { kind: 'status', status: 503 } : undefined);
    this.#database = condition;
  }

  /** Starts a sweep, unless one that was started here is under way; the live view tells how it ends. */
  startSweep(): void {
    const { cloud } = this.#stack;
    this.#sweep ??= cloud.lambda
      .invoke(cloud.template.outputs['SweeperFunctionName'] ?? '', { command: 'sweep' })
      .finally(() => {
        this.#sweep = undefined;
      });
  }

  async #letTimePass(userId: string, seconds: number): Promise<void> {
    await letTimePass(userId, seconds, { pool: this.#pool, spotify: this.#stack.spotify });
  }
}
