/**
 * A stand-in for Spotify's accounts service, for local use and tests.
 *
 * `GET /authorize` asks the user for consent, `POST /api/token` exchanges the code that this leads to and refreshes
 * access tokens (`GET /v1/me`, the Web API's, shows whose token it is, and whether it is accepted). Under `/control`
 * switches that `startAccountsService` returns are offered to other processes, as JSON:
 *
 * | request | body | does |
 * | --- | --- | --- |
 * | `PATCH /control/settings` | some of `Settings` | changes how the service behaves; answers with all settings |
 * | `PUT /control/fault` | a `Fault` (faults.ts) | lets something go wrong with token requests |
 * | `DELETE /control/fault` | | ends that |
 * | `POST /control/grants` | an array of `NewGrant` | lets users authorize; answers with their tokens |
 * | `POST /control/revoke` | `{"userId": ...}` | lets a user revoke |
 * | `POST /control/expire-access-tokens` | | ends every access token issued so far |
 * | `GET /control/calls` | | lists the token requests so far |
 * | `DELETE /control/calls` | | forgets them |
 *
 * As a process of its own: `node stand-ins/spotify/accounts-service.ts --port 4010 --client-id a --client-secret b`.
 */
import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { listen } from 'cdk-out-local/listen';
import type { Answer } from './answer.ts';
import { AuthorizationEndpoint } from './authorization-endpoint.ts';
import { type Fault, FaultPlan } from './faults.ts';
import {
  accessTokenLifeSeconds,
  type GrantedTokens,
  Grants,
  type IssuedRefreshToken,
  type NewGrant,
} from './grants.ts';

export interface AccountsServiceOptions {
  readonly clientId: string;
  readonly clientSecret: string;
  /** @default a free port, which is also used if this one is taken */
  readonly port?: number;
}

export interface Settings {
  /** The duration of every token request. @default 0 */
  readonly latencyMillis: number;
  /** Whether each refresh replaces the refresh token. @default false */
  readonly rotatesRefreshTokens: boolean;
  /** Whether reusing a replaced refresh token revokes the grant. @default false */
  readonly detectsReuse: boolean;
  /** How far the service's clock is ahead, to let six months pass. @default 0 */
  readonly clockOffsetSeconds: number;
}

/** One token request. */
export interface Call {
  /** Time of arrival, ISO 8601. */
  readonly at: string;
  /** The user of the grant, if the refresh token identifies one. */
  readonly userId: string | undefined;
  readonly grantId: string | undefined;
  /** `refreshed`, `authorized` (a code was exchanged), `client_accepted` (a token of the app's own), the error's code, or the kind of the fault. */
  readonly outcome: string;
  /** Undefined if no answer was sent. */
  readonly status: number | undefined;
  readonly durationMillis: number;
}

export interface AccountsService {
  readonly url: string;
  readonly tokenUrl: string;
  /** All token requests that were answered or denied an answer, in that order. */
  readonly calls: readonly Call[];
  /** Number of token requests that have arrived and are not among the calls yet. */
  readonly underWay: number;
  forgetCalls(): void;
  /** Resolves when the next token request has arrived, before the answer. @returns the user of its grant */
  nextTokenRequest(): Promise<string | undefined>;
  /** Changes some settings and returns all. */
  configure(changes: Partial<Settings>): Settings;
  /** @param fault undefined ends all faults */
  setFault(fault: Fault | undefined): void;
  /** Registers a redirect address for the app. */
  registerRedirectUri(uri: string): void;
  createGrant(grant: NewGrant): GrantedTokens;
  revokeGrants(userId: string): void;
  /** Lets time pass for one user's grants and their tokens. */
  letTimePass(userId: string, seconds: number): void;
  expireAccessTokens(): void;
  acceptsAccessToken(accessToken: string): boolean;
  /** Describes a refresh token without using it. @returns undefined if it was never issued */
  inspectRefreshToken(refreshToken: string): IssuedRefreshToken | undefined;
  stop(): Promise<void>;
}

/** The result of a token request; without an answer, the connection is closed (`reset`) or left open (`hang`). */
interface Result {
  readonly outcome: string;
  readonly grant?: { readonly id: string; readonly userId: string } | undefined;
  readonly answer: Answer | 'reset' | 'hang';
}

/** Browsers request it for every page that they open. */
const FAVICON: Answer = {
  status: 200,
  headers: { 'content-type': 'image/svg+xml' },
  body: '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="8" fill="#1ed760"/></svg>',
};

const OVERSIZE_BYTES = 1_000_000;

/** Starts the service on 127.0.0.1. */
export async function startAccountsService(options: AccountsServiceOptions): Promise<AccountsService> {
  let settings: Settings = {
    latencyMillis: 0,
    rotatesRefreshTokens: false,
    detectsReuse: false,
    clockOffsetSeconds: 0,
  };
  let calls: Call[] = [];
  let underWay = 0;
  const arrivals = new EventEmitter();
  const faults = new FaultPlan();
  const grants = new Grants(() => Date.now() + settings.clockOffsetSeconds * 1000);
  const credentials = { id: options.clientId, secret: options.clientSecret };
  const authorization = new AuthorizationEndpoint(options.clientId);

  function configure(changes: Partial<Settings>): Settings {
    for (const [name, value] of Object.entries(changes)) {
      const expected = typeof settings[name as keyof Settings];
      if (typeof value !== expected)
        throw new TypeError(`${name} must be ${expected === 'undefined' ? 'left out' : `a ${expected}`}`);
    }
    settings = { ...settings, ...changes };
    return settings;
  }

  async function answerTokenRequest(request: http.IncomingMessage): Promise<Result> {
    const body = await readText(request);
    const grant = grants.findByRefreshToken(new URLSearchParams(body).get('refresh_token') ?? '');
    arrivals.emit('token-request', grant?.userId);
    if (settings.latencyMillis > 0) await sleep(settings.latencyMillis);
    const fault = faults.take(grant?.userId);
    if (!fault) return exchange(request.headers, body);
    const instead = resultInsteadOfExchange(fault);
    if (instead) return { ...instead, grant };
    const { answer } = exchange(request.headers, body);
    return { outcome: fault.kind, grant, answer: spoil(answer, fault) };
  }

  function exchange(headers: http.IncomingHttpHeaders, body: string): Result {
    const wrongClient = checkClient(headers.authorization, credentials);
    if (wrongClient) return refuse('invalid_client', wrongClient);
    if (!headers['content-type']?.startsWith('application/x-www-form-urlencoded')) {
      return { outcome: 'unsupported_media_type', answer: { status: 415 } };
    }
    const form = new URLSearchParams(body);
    switch (form.get('grant_type')) {
      case 'refresh_token':
        return refresh(form);
      case 'authorization_code':
        return exchangeCode(form);
      case 'client_credentials':
        return { outcome: 'client_accepted', answer: grantTokens(randomUUID(), undefined) };
      default:
        return refuse(
          'unsupported_grant_type',
          'grant_type parameter is missing or none of refresh_token, authorization_code and client_credentials',
        );
    }
  }

  function refresh(form: URLSearchParams): Result {
    const refreshToken = form.get('refresh_token');
    if (!refreshToken) return refuse('invalid_request', 'refresh_token must be supplied');

    const exchange = grants.exchange(refreshToken, settings);
    if (exchange.outcome === 'invalid_grant') {
      return { ...refuse('invalid_grant', exchange.description), grant: exchange.grant };
    }
    const { outcome, grant } = exchange;
    return { outcome, grant, answer: grantTokens(exchange.accessToken, exchange.refreshToken) };
  }

  function exchangeCode(form: URLSearchParams): Result {
    const account = authorization.redeem(form.get('code') ?? '', form.get('redirect_uri') ?? '');
    if (!account) return refuse('invalid_grant', 'Invalid authorization code');

    const { grantId, accessToken, refreshToken } = grants.create(account);
    return {
      outcome: 'authorized',
      grant: { id: grantId, userId: account.userId },
      answer: grantTokens(accessToken, refreshToken),
    };
  }

  function answerProfileRequest(request: http.IncomingMessage): Answer {
    const accessToken = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
    const grant = grants.findByAccessToken(accessToken);
    if (!grant) return { status: 401, body: { error: { status: 401, message: 'The access token expired' } } };
    return { status: 200, body: { id: grant.spotifyUserId, email: grant.spotifyUserEmail } };
  }

  async function answerControlRequest(request: http.IncomingMessage): Promise<Answer> {
    const text = await readText(request);
    try {
      const body = text ? JSON.parse(text) : undefined;
      switch (`${request.method} ${request.url}`) {
        case 'PATCH /control/settings':
          return { status: 200, body: configure(body) };
        case 'PUT /control/fault':
          faults.set(body);
          return { status: 204 };
        case 'DELETE /control/fault':
          faults.set(undefined);
          return { status: 204 };
        case 'POST /control/grants':
          return { status: 201, body: (body as NewGrant[]).map((grant) => grants.create(grant)) };
        case 'POST /control/revoke':
          grants.revoke(body.userId);
          return { status: 204 };
        case 'POST /control/expire-access-tokens':
          grants.expireAccessTokens();
          return { status: 204 };
        case 'GET /control/calls':
          return { status: 200, body: calls };
        case 'DELETE /control/calls':
          calls = [];
          return { status: 204 };
        default:
          return {
            status: 404,
            body: { message: 'There is no such switch: see stand-ins/spotify/accounts-service.ts' },
          };
      }
    } catch (error) {
      return { status: 400, body: { message: String(error) } };
    }
  }

  async function respond(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    if (request.url?.startsWith('/control/')) return send(response, await answerControlRequest(request));
    if (request.method === 'GET' && request.url === '/v1/me')
      return send(response, answerProfileRequest(request));
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
    if (pathname === '/authorize') {
      const answer =
        request.method === 'POST'
          ? authorization.decide(searchParams, new URLSearchParams(await readText(request)))
          : authorization.ask(searchParams);
      return send(response, answer);
    }
    if (pathname === '/favicon.ico') return send(response, FAVICON);
    if (request.method !== 'POST' || request.url !== '/api/token') return send(response, { status: 404 });

    const startedAt = Date.now();
    underWay += 1;
    const { outcome, grant, answer } = await answerTokenRequest(request).finally(() => {
      underWay -= 1;
    });
    calls.push({
      at: new Date(startedAt).toISOString(),
      userId: grant?.userId,
      grantId: grant?.id,
      outcome,
      status: typeof answer === 'string' ? undefined : answer.status,
      durationMillis: Date.now() - startedAt,
    });
    if (answer === 'reset') request.socket.destroy();
    else if (answer !== 'hang') send(response, answer);
  }

  const server = http.createServer((request, response) => {
    // A client that disconnects while it sends its request does not matter.
    respond(request, response).catch(() => response.destroy());
  });
  const url = `http://127.0.0.1:${await listen(server, options.port ?? 0)}`;

  return {
    url,
    tokenUrl: `${url}/api/token`,
    get calls() {
      return calls;
    },
    get underWay() {
      return underWay;
    },
    forgetCalls() {
      calls = [];
    },
    async nextTokenRequest() {
      const [userId] = await once(arrivals, 'token-request');
      return userId;
    },
    configure,
    setFault: (fault) => faults.set(fault),
    registerRedirectUri: (uri) => authorization.registerRedirectUri(uri),
    createGrant: (grant) => grants.create(grant),
    revokeGrants: (userId) => grants.revoke(userId),
    letTimePass: (userId, seconds) => grants.letTimePass(userId, seconds),
    expireAccessTokens: () => grants.expireAccessTokens(),
    acceptsAccessToken: (accessToken) => grants.findByAccessToken(accessToken) !== undefined,
    inspectRefreshToken: (refreshToken) => grants.inspectRefreshToken(refreshToken),
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Returns Spotify's description of an error in the HTTP Basic credentials. @returns undefined if there is none */
function checkClient(authorization = '', credentials: { id: string; secret: string }): string | undefined {
  const encoded = /^Basic (.+)$/.exec(authorization)?.[1] ?? '';
  const [id, ...secret] = Buffer.from(encoded, 'base64').toString().split(':').map(decodeURIComponent);
  if (id !== credentials.id) return 'Invalid client';
  return secret.join(':') === credentials.secret ? undefined : 'Invalid client secret';
}

function grantTokens(accessToken: string, refreshToken: string | undefined): Answer {
  return {
    status: 200,
    body: {
      access_token: accessToken,
      token_type: 'Bearer',
      scope: 'user-read-email user-top-read user-read-recently-played',
      expires_in: accessTokenLifeSeconds,
      ...(refreshToken && { refresh_token: refreshToken }),
    },
  };
}

function refuse(error: string, description: string): Result {
  return { outcome: error, answer: { status: 400, body: { error, error_description: description } } };
}

/** @returns undefined for faults of a request whose exchange takes place */
function resultInsteadOfExchange(fault: Fault): Result | undefined {
  switch (fault.kind) {
    case 'status':
      return { outcome: String(fault.status), answer: htmlPage(fault) };
    case 'error':
      return {
        outcome: fault.error,
        answer: {
          status: fault.status ?? 400,
          body: { error: fault.error, error_description: 'a fault that was switched on' },
        },
      };
    case 'hang':
      return { outcome: fault.kind, answer: 'hang' };
    case 'reset-before':
      return { outcome: fault.kind, answer: 'reset' };
    default:
      return undefined;
  }
}

function htmlPage({ status, retryAfter, location }: Extract<Fault, { kind: 'status' }>): Answer {
  return {
    status,
    headers: {
      'content-type': 'text/html',
      ...(retryAfter !== undefined && { 'retry-after': retryAfter }),
      ...(location !== undefined && { location }),
    },
    body: `<html><head><title>${status}</title></head><body>upstream error</body></html>`,
  };
}

/** The part of the answer that arrives after an exchange that took place. */
function spoil(answer: Result['answer'], fault: Fault): Result['answer'] {
  if (typeof answer === 'string' || fault.kind === 'reset-after') return 'reset';
  const body = JSON.stringify(answer.body);
  const headers = { 'content-type': 'application/json' };
  switch (fault.kind) {
    case 'hang-in-body':
      return { ...answer, headers, body, hangsAfterBytes: body.length / 2 };
    case 'truncated':
      return { ...answer, headers, body: body.slice(0, body.length / 2) };
    case 'content-type':
      return { ...answer, headers: { 'content-type': fault.contentType }, body };
    case 'fields': {
      const members = Object.entries({ ...Object(answer.body), ...fault.fields });
      return { ...answer, body: Object.fromEntries(members.filter(([, value]) => value !== null)) };
    }
    case 'oversized':
      return { ...answer, body: { ...Object(answer.body), padding: 'x'.repeat(OVERSIZE_BYTES) } };
    default:
      return answer;
  }
}

function send(response: http.ServerResponse, { status, headers = {}, body, hangsAfterBytes }: Answer): void {
  if (body === undefined) {
    response.writeHead(status, headers).end();
    return;
  }
  const isText = typeof body === 'string';
  const text = isText ? body : JSON.stringify(body);
  response.writeHead(status, { ...(!isText && { 'content-type': 'application/json' }), ...headers });
  if (hangsAfterBytes === undefined) response.end(text);
  else response.write(text.slice(0, hangsAfterBytes));
}

async function readText(request: http.IncomingMessage): Promise<string> {
  let text = '';
  request.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  await once(request, 'end');
  return text;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '0' },
      'client-id': { type: 'string' },
      'client-secret': { type: 'string' },
    },
  });
  const clientId = values['client-id'];
  const clientSecret = values['client-secret'];
  if (!clientId || !clientSecret) throw new Error('Give --client-id and --client-secret');
  const service = await startAccountsService({ clientId, clientSecret, port: Number(values.port) });
  process.stdout.write(`${service.url}\n`);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void service.stop());
}
