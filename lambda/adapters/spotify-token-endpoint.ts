import * as oauth from 'oauth4webapi';
import * as v from 'valibot';
import type {
  ClientAnswer,
  ClientCheck,
  RevocationReason,
  TokenAnswer,
  TokenEndpoint,
} from '../connection/token-endpoint.ts';
import {
  describeFailedRequest,
  type HttpRequest,
  HttpRequests,
  PLAIN_TEXT,
  type ReceivedAnswer,
} from './http-requests.ts';
import { readRetryAfterSeconds } from './retry-after.ts';
import type { ReadableSecret, SpotifyClient } from './secret.ts';

/** A token of RFC 6749, appendix A.12, of a length that the database accepts: a rejected one would fail a whole batch. */
const Token = v.pipe(v.string(), v.regex(/^[\x20-\x7e]{1,4096}$/));

/** The lifetime of Spotify's tokens so far, and of a token without a stated one (RFC 6749, section 5.1). */
const USUAL_LIFETIME_SECONDS = 3_600;

/** A lifetime far from an hour is a mistake. A short one is believed: refreshing too early costs nothing. */
const Lifetime = v.pipe(
  v.nullish(
    v.union([v.number(), v.pipe(v.string(), v.transform(Number.parseFloat))]),
    USUAL_LIFETIME_SECONDS,
  ),
  v.minValue(1),
  v.maxValue(86_400),
);

/** The needed parts of a success; everything else in it, or missing from it, must cost no token. */
const TokenResponse = v.object({
  access_token: Token,
  refresh_token: v.optional(v.unknown()),
  expires_in: Lifetime,
});

/** Statuses that say nothing about the request, whatever the body: sent too late, to the wrong server, or too early. */
const PASSING_STATUSES = new Set([408, 421, 425]);

/** Codes of RFC 6749, section 4.1.2.1, that are about the server in the same way. */
const PASSING_ERRORS = new Set(['server_error', 'temporarily_unavailable']);

const CLIENT_ERRORS = new Set(['invalid_client', 'unauthorized_client']);

/** The results of a token request without a token. */
type Failure = Exclude<TokenAnswer, { kind: 'refreshed' | 'refresh_token_only' }>;

/**
 * Refusals that other credentials might change: of the client, for an unknown reason, and of the
 * grant, because Spotify calls living grants invalid to another app's client.
 */
const REFUSALS: ReadonlySet<string> = new Set(['client_rejected', 'rejected', 'revoked']);

/** Token answers have a few hundred bytes; a longer one is something else. */
const LONGEST_BODY_BYTES = 64 * 1024;

/** No call starts with less. */
const LEAST_CALL_MILLISECONDS = 100;

const OUT_OF_TIME = { kind: 'unavailable', reason: 'no time left to ask' } as const;

/** The headers that are read of an answer without a token. */
const HEADERS_THAT_MATTER = ['content-type', 'date', 'retry-after', 'www-authenticate'];

/** Statuses with which a Response cannot have a body. */
const STATUSES_WITHOUT_BODY = [204, 205, 304];

/** One request with given credentials. */
type Ask<Answer> = (credentials: Credentials, timeoutMilliseconds: number) => Promise<Answer>;

/** The client's credentials, and the headers of a request with them. */
type Credentials = { readonly client: SpotifyClient; readonly headers: readonly string[] };

/**
 * Spotify's accounts service, called with the client id and secret from Secrets Manager. This class parses a success;
 * oauth4webapi authenticates the client and judges every other answer.
 */
export class SpotifyTokenEndpoint implements TokenEndpoint, ClientCheck {
  readonly #server: oauth.AuthorizationServer;
  readonly #requests: HttpRequests;
  readonly #path: string;
  readonly #secret: ReadableSecret<SpotifyClient>;
  #credentials: Credentials | null = null;

  constructor(tokenUrl: URL, secret: ReadableSecret<SpotifyClient>) {
    this.#server = { issuer: tokenUrl.origin, token_endpoint: tokenUrl.href };
    this.#requests = new HttpRequests(tokenUrl, { longestBodyBytes: LONGEST_BODY_BYTES, isLenient: true });
    this.#path = tokenUrl.pathname + tokenUrl.search;
    this.#secret = secret;
  }

  refresh(refreshToken: string, timeoutMilliseconds: number): Promise<TokenAnswer> {
    const form = `grant_type=refresh_token&refresh_token=${encodeURIComponent(refreshToken)}`;
    return this.#tryCredentials<TokenAnswer>(timeoutMilliseconds, async ({ client, headers }, timeout) => {
      const answer = await this.#requests.send(this.#post(form, headers), timeout);
      // A success is judged by its content: oauth4webapi would reject it because of fields that we do not need.
      return answer.status >= 200 && answer.status < 300
        ? parseTokens(answer, refreshToken)
        : judge(answer, async (response) => {
            await oauth.processRefreshTokenResponse(this.#server, client, response);
            return { kind: 'unavailable', reason: `status ${answer.status}` };
          });
    });
  }

  async checkClient(timeoutMilliseconds: number): Promise<ClientAnswer> {
    const form = 'grant_type=client_credentials';
    const answer = await this.#tryCredentials<ClientAnswer | Failure>(
      timeoutMilliseconds,
      async ({ client, headers }, timeout) =>
        judge(await this.#requests.send(this.#post(form, headers), timeout), async (response) => {
          await oauth.processClientCredentialsResponse(this.#server, client, response);
          return { kind: 'accepted' };
        }),
    );
    return answer.kind === 'revoked' ? { kind: 'rejected', reason: 'invalid_grant' } : answer;
  }

  /**
   * Asks with the current credentials, and a second time if Spotify refuses and there are newer ones. The timeout covers
   * everything: neither a slow secret nor a second call may outlast the caller's lease.
   */
  async #tryCredentials<Answer extends { readonly kind: string }>(
    timeoutMilliseconds: number,
    ask: Ask<Answer>,
  ): Promise<Answer | typeof OUT_OF_TIME> {
    const deadline = performance.now() + timeoutMilliseconds;
    const client = await this.#secret.read();
    const timeLeft = deadline - performance.now();
    // A request that is sent too late to be answered may still take effect.
    if (timeLeft < LEAST_CALL_MILLISECONDS) {
      return OUT_OF_TIME;
    }
    const answer = await ask(this.#present(client), timeLeft);
    if (!REFUSALS.has(answer.kind)) {
      return answer;
    }
    const newer = await this.#renew(client, deadline - performance.now());
    const timeLeftNow = deadline - performance.now();
    return newer === client || timeLeftNow < LEAST_CALL_MILLISECONDS
      ? answer
      : ask(this.#present(newer), timeLeftNow);
  }

  /** Newer credentials, or the same if there are none or reading them takes longer than this. */
  async #renew(client: SpotifyClient, timeoutMilliseconds: number): Promise<SpotifyClient> {
    const timeIsUp = Promise.withResolvers<SpotifyClient>();
    const timer = setTimeout(() => timeIsUp.resolve(client), timeoutMilliseconds);
    try {
      return await Promise.race([this.#secret.renew(client), timeIsUp.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  #post(form: string, headers: readonly string[]): HttpRequest {
    return { method: 'POST', path: this.#path, headers, body: form };
  }

  #present(client: SpotifyClient): Credentials {
    if (this.#credentials?.client !== client) {
      const authentication = new Headers();
      const authenticate = oauth.ClientSecretBasic(client.client_secret);
      void authenticate(this.#server, client, new URLSearchParams(), authentication);
      const headers = [
        ...['accept', 'application/json'],
        ...['content-type', 'application/x-www-form-urlencoded;charset=UTF-8'],
        ...['authorization', authentication.get('authorization') ?? ''],
      ];
      this.#credentials = { client, headers };
    }
    return this.#credentials;
  }
}

/** Interprets an answer without a user's token. */
async function judge<Success>(
  answer: ReceivedAnswer,
  read: (response: Response) => Promise<Success>,
): Promise<Success | Failure> {
  const { status, failure } = answer;
  if (failure !== null) {
    return toFailure(failure);
  }
  // A Response cannot be built with other statuses.
  if (status < 200 || status >= 500 || PASSING_STATUSES.has(status)) {
    return { kind: 'unavailable', reason: `status ${status}` };
  }
  const response = toResponse(answer);
  if (status === 429) {
    return { kind: 'throttled', retryAfterSeconds: readRetryAfterSeconds(response.headers) };
  }
  try {
    return await read(response);
  } catch (error) {
    return toFailure(error);
  }
}

function toResponse({ status, headers, text }: ReceivedAnswer): Response {
  const kept = HEADERS_THAT_MATTER.flatMap((name) => {
    const value = headers[name];
    // A Response refuses headers with control characters.
    return typeof value === 'string' && PLAIN_TEXT.test(value) ? [[name, value] as [string, string]] : [];
  });
  const hasBody = text !== '' && !STATUSES_WITHOUT_BODY.includes(status);
  return new Response(hasBody ? text : null, { status, headers: kept });
}

/**
 * Parses a success. The text decides, not how it ended: an object that is complete to its last brace counts, whatever
 * happened to the connection afterwards.
 */
function parseTokens({ text, failure }: ReceivedAnswer, usedRefreshToken: string): TokenAnswer {
  const json = parseJson(text);
  const parsed = v.safeParse(TokenResponse, json);
  if (parsed.success) {
    return { kind: 'refreshed', ...readTokens(parsed.output) };
  }
  const fields = parsed.issues.map((issue) => v.getDotPath(issue) ?? 'content').join(', ');
  const reason =
    failure !== null
      ? describeFailedRequest(failure)
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
  // Without a storable one the old one is kept: if that is dead, the user still has an hour more.
  return parsed.success
    ? { ...tokens, refreshToken: parsed.output }
    : { ...tokens, reason: 'unusable refresh_token in a successful answer' };
}

/** Undefined: it is not one. */
function parseJson(text: string): unknown {
  try {
    // Trimmed, which also removes a byte order mark.
    return JSON.parse(text.trim());
  } catch {
    return undefined;
  }
}

/**
 * The refresh token in a successful answer that is unusable as a whole: cut off, too long, or
 * without an access token. Found by its name, because such a text need not be JSON.
 */
function findRefreshToken(text: string): string | null {
  const [, quoted] = /"refresh_token"\s*:\s*("(?:[^"\\]|\\.)*")/.exec(text) ?? [];
  const parsed = v.safeParse(Token, quoted === undefined ? undefined : parseJson(quoted));
  return parsed.success ? parsed.output : null;
}

/**
 * Classifies "Refresh token expired", "Refresh token revoked" or "Invalid refresh token", or another text with exactly one of
 * these words. The text itself is untrusted and goes no further.
 */
function readRevocationReason(description: unknown): RevocationReason {
  const text = typeof description === 'string' ? description.toLowerCase() : '';
  const [reason, another] = (['expired', 'revoked', 'invalid'] as const).filter((word) =>
    text.includes(word),
  );
  return reason === undefined || another !== undefined ? 'unknown' : reason;
}

/** Reasons are our own words and the codes of RFC 6749: other contents of an answer may include tokens. */
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
  if (error instanceof oauth.UnsupportedOperationError) {
    return { kind: 'unavailable', reason: 'unusable token_type in a successful answer' };
  }
  return { kind: 'unavailable', reason: describeFailedRequest(error) };
}
