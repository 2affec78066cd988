import type pg from 'pg';
import type { Stack } from '../local/stack.ts';
import type { DatabaseCondition, EventOfUser, SpotifyCondition, UserAction } from './live-view-events.ts';
import { letTimePass } from './time-travel.ts';

const HOUR_IN_SECONDS = 3_600;

const SECONDS_PASSED: Readonly<Record<UserAction, number>> = {
  // An access token lives that long.
  'expire-token': HOUR_IN_SECONDS,
  // The longest that six calendar months can be.
  'six-months': 184 * 24 * HOUR_IN_SECONDS,
  'revoke-grant': 0,
};

const RATE_LIMIT_SECONDS = 10;
const REMEMBERED_ACTIONS = 200;

/** What a service gets when it calls Spotify with the user's token from `profiles`. */
export type TokenUse =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'refused' }
  | { readonly kind: 'no-token' };

/** Controls time, Spotify, Supabase and the signed-in user's connection. */
export class Panel {
  readonly #stack: Stack;
  readonly #pool: pg.Pool;
  #spotify: SpotifyCondition = 'up';
  #database: DatabaseCondition = 'up';
  #sweep: Promise<unknown> | undefined;
  readonly #actions: EventOfUser[] = [];

  constructor(stack: Stack, pool: pg.Pool) {
    this.#stack = stack;
    this.#pool = pool;
  }

  get conditions() {
    return { spotify: this.#spotify, database: this.#database, isSweeping: this.#sweep !== undefined };
  }

  /** What was done to users' connections, oldest first. */
  get actions(): readonly EventOfUser[] {
    return this.#actions;
  }

  async act(userId: string, action: UserAction): Promise<void> {
    const { spotify } = this.#stack;
    const secondsPassed = SECONDS_PASSED[action];
    if (secondsPassed > 0) await letTimePass(userId, secondsPassed, { pool: this.#pool, spotify });
    // As on Spotify's account page: the access token lives on until it expires.
    else spotify.revokeGrants(userId);
    this.#actions.push({
      userId,
      event: { kind: 'action', at: new Date().toISOString(), action, secondsPassed },
    });
    if (this.#actions.length > REMEMBERED_ACTIONS) this.#actions.shift();
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

  /** Starts a sweep, unless one that was started here is still running; the live view shows its result. */
  startSweep(): void {
    const { cloud } = this.#stack;
    this.#sweep ??= cloud.lambda
      .invoke(cloud.template.outputs['SweeperFunctionName'] ?? '', { command: 'sweep' })
      .finally(() => {
        this.#sweep = undefined;
      });
  }
}
