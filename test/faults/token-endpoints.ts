import type { SpotifyClient } from '../../stand-ins/bondhu/oauth.ts';
import { TestStack, type TestStackOptions } from '../e2e/test-stack.ts';
import { OidcProvider } from './oidc-provider.ts';
import { isLongRun } from './run-length.ts';
import type { Exchange } from './spotify-model.ts';

type NamedEndpoint = {
  readonly name: string;
  startStack(options?: TestStackOptions): Promise<TestStack>;
};

const STAND_IN: NamedEndpoint = {
  name: 'the stand-in for Spotify',
  async startStack(options) {
    const stack = await TestStack.start(options);
    stack.stack.spotify.configure({ detectsReuse: true });
    return stack;
  },
};

const OIDC_PROVIDER: NamedEndpoint = {
  name: 'node-oidc-provider',
  async startStack(options) {
    return TestStack.start({ ...options, tokenEndpoint: await OidcProvider.start() });
  },
};

/**
 * The token endpoints that a proof runs against, with the same expectations: both rotate refresh tokens when told to, and
 * end a grant when one of its old refresh tokens is used again. A short run is content with the one that we did not write.
 */
export const TOKEN_ENDPOINTS = isLongRun ? [STAND_IN, OIDC_PROVIDER] : [OIDC_PROVIDER];

/**
 * Exchanges a refresh token as a client of its own would, with nothing of the functions' code.
 *
 * @throws on any other answer
 */
export async function exchange(
  tokenUrl: string,
  { client_id, client_secret }: SpotifyClient,
  refreshToken: string,
): Promise<Exchange> {
  const response = await fetch(tokenUrl, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${client_id}:${client_secret}`).toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken }),
  });
  const body = (await response.json()) as { readonly refresh_token?: string; readonly error?: string };
  if (response.ok) return { refreshToken: body.refresh_token ?? null };
  if (body.error === 'invalid_grant') return 'invalid_grant';
  throw new Error(`the token endpoint answered ${response.status} ${body.error}`);
}

/**
 * Tries every stored refresh token at the token endpoint. For the end of a test: where they rotate, what is stored is
 * used up.
 *
 * @returns the users whose refresh token is refused
 */
export async function findUsersWithRefusedTokens(stack: TestStack): Promise<string[]> {
  const { tokenEndpoint } = stack;
  tokenEndpoint.configure({ latencyMillis: 0 });
  const rows = await stack.sql<{ id: string; token: string }>(
    'select id, spotify_refresh_token as token from public.profiles order by id',
  );
  const refused: string[] = [];
  for (const { id, token } of rows) {
    const answer = await exchange(tokenEndpoint.tokenUrl, stack.stack.spotifyClient, token);
    if (answer === 'invalid_grant') refused.push(id);
  }
  return refused;
}
