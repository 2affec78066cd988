import * as oauth from 'oauth4webapi';
import * as v from 'valibot';
import type { ClientAnswer, ClientCheck, TokenAnswer, TokenEndpoint } from '../connection/token-endpoint.ts';
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

/** What a token request that brings no token can end in. */
type Failure = Exclude<TokenAnswer, { kind: 'refreshed' | 'rotated' }>;

/** One kind of token request, and what its success means. */
type GrantRequest<Success> = {
  send(
    client: oauth.Client,
    authentication: oauth.ClientAuth,
    options: oauth.TokenEndpointRequestOptions,
  ): Promise<Response>;
  read(client: oauth.Client, response: Response): Promise<Success | Failure>;
};

/** Spotify's accounts service, spoken to with the client id and secret that Secrets Manager holds. */
export class SpotifyTokenEndpoint implements TokenEndpoint, ClientCheck {
  readonly #server: oauth.AuthorizationServer;
  readonly #secret: Secret<SpotifyClient>;
  readonly #allowInsecureRequests: boolean;

  constructor(tokenUrl: URL, secret: Secret<SpotifyClient>) {
    this.#server = { issuer: tokenUrl.origin, token_endpoint: tokenUrl.href };
    this.#secret = secret;
    this.#allowInsecureRequests = tokenUrl.protocol === 'http:';
  }

  refresh(refreshToken: string, timeoutMilliseconds: number): Promise<TokenAnswer> {
    // One for everything: neither a slow secret nor a second call may outlast what the caller's lease allows.
    return within(timeoutMilliseconds, (signal) => this.#refresh(refreshToken, signal));
  }

  checkClient(timeoutMilliseconds: number): Promise<ClientAnswer> {
    return within(timeoutMilliseconds, async (signal) => {
      const answer = await this.#request<ClientAnswer>(await this.#secret.read(), signal, nothingReceived(), {
        send: (client, authentication, options) =>
          oauth.clientCredentialsGrantRequest(this.#server, client, authentication, {}, options),
        read: async (client, response) => {
          await oauth.processClientCredentialsResponse(this.#server, client, response);
          return { kind: 'accepted' };
        },
      });
      return answer.kind === 'revoked' ? { kind: 'rejected', reason: 'invalid_grant' } : answer;
    });
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
    const received = nothingReceived();
    const answer = await this.#request<TokenAnswer>(client, signal, received, {
      send: (oauthClient, authentication, options) =>
        oauth.refreshTokenGrantRequest(this.#server, oauthClient, authentication, refreshToken, options),
      read: async (oauthClient, response) =>
        tokensIn(await oauth.processRefreshTokenResponse(this.#server, oauthClient, response)),
    });
    if (answer.kind !== 'unavailable' || !received.isOfSuccess) {
      return answer;
    }
    const newRefreshToken = refreshTokenIn(received.text);
    return newRefreshToken === null || newRefreshToken === refreshToken
      ? answer
      : { kind: 'rotated', refreshToken: newRefreshToken, reason: answer.reason };
  }

  async #request<Success>(
    client: SpotifyClient,
    signal: AbortSignal,
    received: ReceivedAnswer,
    { send, read }: GrantRequest<Success>,
  ): Promise<Success | Failure> {
    const oauthClient: oauth.Client = { client_id: client.client_id };
    try {
      const response = await send(oauthClient, oauth.ClientSecretBasic(client.client_secret), {
        signal,
        [oauth.customFetch]: (url, init) => fetchTokens(url, init, received),
        [oauth.allowInsecureRequests]: this.#allowInsecureRequests,
      });
      if (response.status === 429) {
        return { kind: 'throttled', retryAfterSeconds: retryAfterSeconds(response.headers) };
      }
      if (response.status >= 500) {
        return { kind: 'unavailable', reason: `status ${response.status}` };
      }
      return await read(oauthClient, response);
    } catch (error) {
      return failureOf(error);
    }
  }
}

/** Runs something with a signal that ends it. Not AbortSignal.timeout, which would keep everything here in memory until its time has passed. */
async function within<Result>(
  timeoutMilliseconds: number,
  run: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), timeoutMilliseconds);
  try {
    return await run(abort.signal);
  } finally {
    clearTimeout(timer);
  }
}

function nothingReceived(): ReceivedAnswer {
  return { isOfSuccess: false, text: '' };
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
function failureOf(error: unknown): Failure {
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
