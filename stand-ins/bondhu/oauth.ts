import { randomUUID } from 'node:crypto';
import * as v from 'valibot';
import type { AccountsService } from '../spotify/accounts-service.ts';
import { type BondhuBackend, naiveUtc } from './backend.ts';

const Tokens = v.object({ access_token: v.string(), refresh_token: v.string(), expires_in: v.number() });
const SpotifyProfile = v.object({ id: v.string(), email: v.optional(v.string()) });

/** Bondhu's app at Spotify, with the names of the secret. */
export interface SpotifyClient {
  readonly client_id: string;
  readonly client_secret: string;
}

export interface BondhuOAuthOptions {
  readonly spotify: AccountsService;
  readonly spotifyClient: SpotifyClient;
  readonly bondhu: BondhuBackend;
  /** The address that Spotify sends the user back to. */
  readonly redirectUri: string;
}

/** A stand-in for the part of Bondhu's Python backend that connects Spotify: the start and the callback of OAuth. */
export class BondhuOAuth {
  readonly #options: BondhuOAuthOptions;
  /** The users who were sent to Spotify, by `state`. */
  readonly #pending = new Map<string, string>();

  constructor(options: BondhuOAuthOptions) {
    options.spotify.registerRedirectUri(options.redirectUri);
    this.#options = options;
  }

  /** @returns the URL of Spotify's consent page */
  start(userId: string, email: string): string {
    const { spotify, spotifyClient, redirectUri } = this.#options;
    const state = randomUUID();
    this.#pending.set(state, userId);
    const parameters = new URLSearchParams({
      client_id: spotifyClient.client_id,
      response_type: 'code',
      redirect_uri: redirectUri,
      scope: 'user-read-email user-top-read user-read-recently-played',
      state,
      // Only for the stand-in, instead of the user's session at Spotify.
      user_id: userId,
      login_hint: email,
    });
    return `${spotify.url}/authorize?${parameters}`;
  }

  /** Stores the tokens of a returning user. @returns the page that Bondhu then shows */
  async finish(parameters: URLSearchParams): Promise<string> {
    const error = await this.#finish(parameters).catch(() => 'server_error');
    const result = error === undefined ? { spotify_connected: 'true' } : { spotify_error: error };
    return `/entertainment?${new URLSearchParams(result)}`;
  }

  /** @returns the error code, if something went wrong */
  async #finish(parameters: URLSearchParams): Promise<string | undefined> {
    const state = parameters.get('state') ?? '';
    const userId = this.#pending.get(state);
    this.#pending.delete(state);
    if (userId === undefined) return 'invalid_state';
    const error = parameters.get('error');
    if (error !== null) return error;

    const { spotify, bondhu } = this.#options;
    const tokens = await this.#exchange(parameters.get('code') ?? '');
    if (tokens === undefined) return 'token_exchange_failed';
    const profile = v.parse(
      SpotifyProfile,
      await getJson(`${spotify.url}/v1/me`, { authorization: `Bearer ${tokens.access_token}` }),
    );
    await bondhu.store(userId, {
      spotify_access_token: tokens.access_token,
      spotify_refresh_token: tokens.refresh_token,
      spotify_token_expires_at: naiveUtc(new Date(Date.now() + tokens.expires_in * 1_000)),
      spotify_user_id: profile.id,
      spotify_user_email: profile.email ?? null,
      spotify_connected_at: naiveUtc(new Date()),
    });
    return undefined;
  }

  async #exchange(code: string): Promise<v.InferOutput<typeof Tokens> | undefined> {
    const { spotify, spotifyClient, redirectUri } = this.#options;
    const { client_id, client_secret } = spotifyClient;
    const response = await fetch(spotify.tokenUrl, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa(`${client_id}:${client_secret}`)}` },
      body: new URLSearchParams({ grant_type: 'authorization_code', code, redirect_uri: redirectUri }),
    });
    return response.ok ? v.parse(Tokens, await response.json()) : undefined;
  }
}

async function getJson(url: string, headers: Record<string, string>): Promise<unknown> {
  return (await fetch(url, { headers })).json();
}
