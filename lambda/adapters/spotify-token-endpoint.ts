import * as oauth from 'oauth4webapi';
import * as v from 'valibot';
import type {
  ClientAnswer,
  ClientCheck,
  RevocationReason,
  TokenAnswer,
  TokenEndpoint,
} from '../connection/token-endpoint.ts';
import { readRetryAfterSeconds } from './retry-after.ts';
import type { Secret, SpotifyClient } from './secret.ts';
import { fetchTokens, type ReceivedAnswer, UnusableAnswerError } from './token-fetch.ts';

/** A token of RFC 6749, appendix A.12, of a length that the database takes: one it refused would cost a whole batch. */
const Token = v.pipe(v.string(), v.regex(/^[\x20-\x7e]{1,4096}$/));

/** What Spotify's tokens have always lived for, and what one lives that does not say (RFC 6749, section 5.1). */
const USUAL_LIFETIME_SECONDS = 3_600;

/** A lifetime that is nowhere near an hour is a mistake, not a lifetime. A short one is believed: too early costs nothing. */
const Lifetime = v.pipe(
  v.nullish(
    v.union([v.number(), v.pipe(v.string(), v.transform(Number.parseFloat))]),
    USUAL_LIFETIME_SECONDS,
  ),
  v.minValue(1),
  v.maxValue(86_400),
);

/** All that is needed of a success; whatever else is in it, or not in it, costs nobody a token. */
const TokenResponse = v.object({
  access_token: Token,
  refresh_token: v.optional(v.unknown()),
  expires_in: Lifetime,
});

/** Answers that say nothing about the request, whatever is in them: sent too late, or to the wrong server, or too early. */
const PASSING_STATUSES = new Set([408, 421, 425]);

/** Codes of RFC 6749, section 4.1.2.1, that say the same of the server. */
const PASSING_ERRORS = new Set(['server_error', 'temporarily_unavailable']);

const CLIENT_ERRORS = new Set(['invalid_client', 'unauthorized_client']);

/** What a token request that brings no token can end in. */
type Failure = Exclude<TokenAnswer, { kind: 'refreshed' | 'refresh_token_only' }>;

/**
 * What other credentials might change: the refusal of the client, one for a reason that we do not know, and one of the
 * grant, for Spotify calls living grants invalid to the client of another app.
 */
const REFUSALS: ReadonlySet<string> = new Set(['client_rejected', 'rejected', 'revoked']);

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
    return runWithin(timeoutMilliseconds, (signal) =>
      this.#tryCredentials(signal, (client) => this.#call(client, refreshToken, signal)),
    );
  }

  checkClient(timeoutMilliseconds: number): Promise<ClientAnswer> {
    return runWithin(timeoutMilliseconds, async (signal) => {
      const answer = await this.#tryCredentials(signal, (spotifyClient) =>
        this.#request<ClientAnswer>(spotifyClient, signal, createReceivedAnswer(), {
          send: (client, authentication, options) =>
            oauth.clientCredentialsGrantRequest(this.#server, client, authentication, {}, options),
          read: async (client, response) => {
            await oauth.processClientCredentialsResponse(this.#server, client, response);
            return { kind: 'accepted' };
          },
        }),
      );
      return answer.kind === 'revoked' ? { kind: 'rejected', reason: 'invalid_grant' } : answer;
    });
  }

  /** Asks with the credentials at hand, and once more where Spotify refuses and there are newer ones. */
  async #tryCredentials<Answer extends { readonly kind: string }>(
    signal: AbortSignal,
    ask: (client: SpotifyClient) => Promise<Answer>,
  ): Promise<Answer> {
    const client = await this.#secret.read();
    const answer = await ask(client);
    if (!REFUSALS.has(answer.kind)) {
      return answer;
    }
    // Whether there are newer ones is worth no more than the time that the call was given.
    const timeIsUp = Promise.withResolvers<SpotifyClient>();
    signal.addEventListener('abort', () => timeIsUp.resolve(client), { once: true });
    const newer = await Promise.race([this.#secret.renew(client), timeIsUp.promise]);
    return newer === client ? answer : ask(newer);
  }

  async #call(client: SpotifyClient, refreshToken: string, signal: AbortSignal): Promise<TokenAnswer> {
    const received = createReceivedAnswer();
    const failure = await this.#request<null>(client, signal, received, {
      send: (oauthClient, authentication, options) =>
        oauth.refreshTokenGrantRequest(this.#server, oauthClient, authentication, refreshToken, options),
      read: async (oauthClient, response) => {
        // A success is read by what came, below: oauth4webapi refuses it for fields that nobody here needs.
        if (!response.ok) {
          await oauth.processRefreshTokenResponse(this.#server, oauthClient, response);
        }
        return null;
      },
    });
    return received.isOfSuccess || failure === null
      ? parseTokens(received.text, refreshToken, failure)
      : failure;
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
        return { kind: 'throttled', retryAfterSeconds: readRetryAfterSeconds(response.headers) };
      }
      if (response.status >= 500 || PASSING_STATUSES.has(response.status)) {
        return { kind: 'unavailable', reason: `status ${response.status}` };
      }
      return await read(oauthClient, response);
    } catch (error) {
      return toFailure(error);
    }
  }
}

/** Runs something with a signal that ends it. Not AbortSignal.timeout, which would keep everything here in memory until its time has passed. */
async function runWithin<Result>(
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

function createReceivedAnswer(): ReceivedAnswer {
  return { isOfSuccess: false, text: '' };
}

/**
 * What a success holds. The text decides, not how it ended: an object that is there to its last brace is whole, whatever
 * became of the connection afterwards.
 *
 * @param failure why it is not known to be whole
 */
function parseTokens(text: string, usedRefreshToken: string, failure: Failure | null): TokenAnswer {
  const json = parseJson(text);
  const parsed = v.safeParse(TokenResponse, json);
  if (parsed.success) {
    return { kind: 'refreshed', ...readTokens(parsed.output) };
  }
  const fields = parsed.issues.map((issue) => v.getDotPath(issue) ?? 'content').join(', ');
  const reason =
    failure !== null && 'reason' in failure
      ? failure.reason
      : json === undefined
        ? 'not JSON'
        : `unusable ${fields} in a successful answer`;
  const refreshToken = findRefreshToken(text);
  return refreshToken === null || refreshToken === usedRefreshToken
    ? { kind: 'unavailable', reason }
    : { kind: 'refresh_token_only', refreshToken, reason };
}

function readTokens({ access_token, refresh_token, expires_in }: v.InferOutput<typeof TokenResponse>) {
  const tokens = { accessToken: access_token, expiresInSeconds: expires_in };
  if (refresh_token === undefined || refresh_token === null || refresh_token === '') {
    return tokens;
  }
  const parsed = v.safeParse(Token, refresh_token);
  // Without one that can be stored the old one is kept: should it be dead, the user has had an hour more.
  return parsed.success
    ? { ...tokens, refreshToken: parsed.output }
    : { ...tokens, reason: 'unusable refresh_token in a successful answer' };
}

/** Undefined: it is none. */
function parseJson(text: string): unknown {
  try {
    // Trimmed, for what it takes off includes a byte order mark.
    return JSON.parse(text.trim());
  } catch {
    return undefined;
  }
}

/**
 * The refresh token in what has come in of a successful answer that cannot be used as a whole: cut off, too long,
 * without an access token. Found by its name, for such a text need not be JSON.
 */
function findRefreshToken(text: string): string | null {
  const [, quoted] = /"refresh_token"\s*:\s*("(?:[^"\\]|\\.)*")/.exec(text) ?? [];
  const parsed = v.safeParse(Token, quoted === undefined ? undefined : parseJson(quoted));
  return parsed.success ? parsed.output : null;
}

/**
 * What "Refresh token expired", "Refresh token revoked" or "Invalid refresh token" says, or another text with just one of
 * these words. The text itself is a stranger's and goes no further.
 */
function readRevocationReason(description: unknown): RevocationReason {
  const text = typeof description === 'string' ? description.toLowerCase() : '';
  const [reason, another] = (['expired', 'revoked', 'invalid'] as const).filter((word) =>
    text.includes(word),
  );
  return reason === undefined || another !== undefined ? 'unknown' : reason;
}

/** Reasons are our own words and the codes of RFC 6749: an answer's other contents may hold tokens. */
function toFailure(error: unknown): Failure {
  if (error instanceof oauth.ResponseBodyError) {
    if (error.error === 'invalid_grant' && error.status === 400) {
      return { kind: 'revoked', reason: readRevocationReason(error.error_description) };
    }
    if (PASSING_ERRORS.has(error.error)) {
      return { kind: 'unavailable', reason: error.error };
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
