import * as oauth from 'oauth4webapi';
import * as v from 'valibot';
import type { TokenAnswer, TokenEndpoint } from '../connection/token-endpoint.ts';
import { retryAfterSeconds } from './retry-after.ts';
import type { Secret, SpotifyClient } from './secret.ts';
import { fetchTokens, type ReceivedAnswer, UnusableAnswerError } from './token-fetch.ts';

/** A token of RFC 6749, appendix A.12, of a length that the database takes: one it refused would cost a whole batch. */
const Token = v.pipe(v.string(), v.regex(/^[\x20-\x7e]{1,4096}$/));

/** Spotify's tokens live 3,600 s; a lifetime that is nowhere near an hour is a mistake, not a lifetime. */
const TokenResponse = v.object({
  access_token: Token,
  refresh_token: v.optional(Token),
  expires_in: v.pipe(v.number(), v.minValue(60), v.maxValue(86_400)),
});

const CLIENT_ERRORS = new Set(['invalid_client', 'unauthorized_client']);

/** Spotify's accounts service, spoken to with the client id and secret that Secrets Manager holds. */
export class SpotifyTokenEndpoint implements TokenEndpoint {
  readonly #server: oauth.AuthorizationServer;
  readonly #secret: Secret<SpotifyClient>;
  readonly #allowInsecureRequests: boolean;

  constructor(tokenUrl: URL, secret: Secret<SpotifyClient>) {
    this.#server = { issuer: tokenUrl.origin, token_endpoint: tokenUrl.href };
    this.#secret = secret;
    this.#allowInsecureRequests = tokenUrl.protocol === 'http:';
  }

  async refresh(refreshToken: string, timeoutMilliseconds: number): Promise<TokenAnswer> {
    // One for everything: neither a slow secret nor a second call may outlast what the caller's lease allows. Not
    // AbortSignal.timeout, which would keep everything here in memory until its time has passed.
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), timeoutMilliseconds);
    try {
      return await this.#refresh(refreshToken, abort.signal);
    } finally {
      clearTimeout(timer);
    }
  }

  async #refresh(refreshToken: string, signal: AbortSignal): Promise<TokenAnswer> {
    const client = await this.#secret.read();
    const answer = await this.#call(client, refreshToken, signal);
    // What Spotify refuses for a reason that we do not know may be refused because of who asks.
    if (answer.kind !== 'client_rejected' && answer.kind !== 'rejected') {
      return answer;
    }
    const newer = await this.#secret.renew(client);
    return newer === client ? answer : this.#call(newer, refreshToken, signal);
  }

  async #call(client: SpotifyClient, refreshToken: string, signal: AbortSignal): Promise<TokenAnswer> {
    const received: ReceivedAnswer = { isOfSuccess: false, text: '' };
    const answer = await this.#request(client, refreshToken, signal, received);
    if (answer.kind !== 'unavailable' || !received.isOfSuccess) {
      return answer;
    }
    const newRefreshToken = refreshTokenIn(received.text);
    return newRefreshToken === null || newRefreshToken === refreshToken
      ? answer
      : { kind: 'rotated', refreshToken: newRefreshToken, reason: answer.reason };
  }

  async #request(
    client: SpotifyClient,
    refreshToken: string,
    signal: AbortSignal,
    received: ReceivedAnswer,
  ): Promise<TokenAnswer> {
    const oauthClient: oauth.Client = { client_id: client.client_id };
    try {
      const response = await oauth.refreshTokenGrantRequest(
        this.#server,
        oauthClient,
        oauth.ClientSecretBasic(client.client_secret),
        refreshToken,
        {
          signal,
          [oauth.customFetch]: (url, init) => fetchTokens(url, init, received),
          [oauth.allowInsecureRequests]: this.#allowInsecureRequests,
        },
      );
      if (response.status === 429) {
        return { kind: 'throttled', retryAfterSeconds: retryAfterSeconds(response.headers) };
      }
      if (response.status >= 500) {
        return { kind: 'unavailable', reason: `status ${response.status}` };
      }
      return tokensIn(await oauth.processRefreshTokenResponse(this.#server, oauthClient, response));
    } catch (error) {
      return failureOf(error);
    }
  }
}

/**
 * The refresh token in what has come in of a successful answer that cannot be used as a whole: cut off, too long,
 * without an access token. Found by its name, for such a text need not be JSON.
 */
function refreshTokenIn(text: string): string | null {
  const [, quoted] = /"refresh_token"\s*:\s*("(?:[^"\\]|\\.)*")/.exec(text) ?? [];
  try {
    const parsed = v.safeParse(Token, JSON.parse(quoted ?? ''));
    return parsed.success ? parsed.output : null;
  } catch {
    return null;
  }
}

function tokensIn(response: oauth.TokenEndpointResponse): TokenAnswer {
  const parsed = v.safeParse(TokenResponse, response);
  if (!parsed.success) {
    const fields = parsed.issues.map((issue) => v.getDotPath(issue)).join(', ');
    return { kind: 'unavailable', reason: `unusable ${fields} in a successful answer` };
  }
  const { access_token, refresh_token, expires_in } = parsed.output;
  return {
    kind: 'refreshed',
    accessToken: access_token,
    ...(refresh_token !== undefined && { refreshToken: refresh_token }),
    expiresInSeconds: expires_in,
  };
}

/** Reasons are our own words and the codes of RFC 6749: an answer's other contents may hold tokens. */
function failureOf(error: unknown): TokenAnswer {
  if (error instanceof oauth.ResponseBodyError) {
    if (error.error === 'invalid_grant' && error.status === 400) {
      return { kind: 'revoked' };
    }
    const code = /^[a-z_]{1,40}$/.test(error.error) ? error.error : 'unknown error code';
    return { kind: CLIENT_ERRORS.has(error.error) ? 'client_rejected' : 'rejected', reason: code };
  }
  if (error instanceof oauth.WWWAuthenticateChallengeError) {
    return { kind: 'client_rejected', reason: `status ${error.status}` };
  }
  if (error instanceof oauth.OperationProcessingError) {
    const response = error.cause instanceof Response ? error.cause : null;
    return response !== null && response.status >= 400
      ? { kind: 'rejected', reason: `status ${response.status}` }
      : { kind: 'unavailable', reason: error.code ?? 'unusable answer' };
  }
  if (error instanceof UnusableAnswerError) {
    return { kind: 'unavailable', reason: error.message };
  }
  if (error instanceof oauth.UnsupportedOperationError) {
    return { kind: 'unavailable', reason: 'unusable token_type in a successful answer' };
  }
  if (error instanceof Error && error.name === 'AbortError') {
    return { kind: 'unavailable', reason: 'no answer in time' };
  }
  if (error instanceof Error && 'code' in error) {
    return { kind: 'unavailable', reason: `connection failed: ${error.code}` };
  }
  throw error;
}
