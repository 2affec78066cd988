import { randomBytes } from 'node:crypto';
import http from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { listen } from 'cdk-out-local/listen';
import { type Context, Hono } from 'hono';
import { cors } from 'hono/cors';
import { decodeJwt } from 'jose';
import type { BondhuDatabase } from './bondhu-database.ts';
import { type SupabaseFault, SupabaseFaultPlan } from './faults.ts';
import { createFunctionCaller } from './function-calls.ts';
import { identify, RejectedRequestError } from './identity.ts';
import { createLite } from './lite.ts';
import { toPostgrestError } from './postgrest-error.ts';
import { createUserTokens, type UserTokens } from './user-tokens.ts';

export interface SupabaseOptions {
  readonly database: BondhuDatabase;
  /** @default a free port, which is also used if this one is taken */
  readonly port?: number;
}

export interface Supabase {
  readonly url: string;
  readonly publishableKey: string;
  readonly secretKey: string;
  /** Signs HS256 tokens, as on older projects. */
  readonly jwtSecret: string;
  /** All requests so far, without their queries. */
  readonly requests: readonly { readonly method: string; readonly path: string }[];
  readonly signUserToken: UserTokens['sign'];
  readonly verifyUserToken: UserTokens['verify'];
  readonly rotateSigningKey: UserTokens['rotate'];
  readonly revokeSigningKeys: UserTokens['revoke'];
  /** The part before the @ of a user's e-mail address, once the user has signed up or in; otherwise the id. */
  nameOf(userId: string): string;
  /** Signs a user up, already confirmed. @returns the user's id. @throws Error if the address is taken */
  createUser(email: string, password: string): Promise<string>;
  /** @param fault undefined ends the fault. @returns once it is in force */
  setFault(fault: SupabaseFault | undefined): Promise<void>;
  /** Closes every connection and the server; the database stays. */
  stop(): Promise<void>;
}

/**
 * Serves Supabase's REST and Auth interfaces for a database, on 127.0.0.1.
 *
 * Functions are called as PostgREST does (function-calls.ts); `@supabase/lite` serves tables and Auth (lite.ts). Tests
 * compare this and a real PostgREST with the same expectations (test/stand-ins/supabase/conformance.test.ts). It signs user
 * tokens with ES256, as new projects do, and also accepts RS256 and HS256. It lacks
 * Storage, Realtime, Edge Functions and Auth's admin interface.
 */
export async function startSupabase({ database, port = 0 }: SupabaseOptions): Promise<Supabase> {
  const server = http.createServer();
  const ownPort = await listen(server, port);
  const url = `http://127.0.0.1:${ownPort}`;
  const publishableKey = `sb_publishable_${randomBytes(16).toString('base64url')}`;
  const secretKey = `sb_secret_${randomBytes(16).toString('base64url')}`;
  const jwtSecret = randomBytes(32).toString('base64url');

  const tokens = await createUserTokens(`${url}/auth/v1`, jwtSecret);
  const functions = createFunctionCaller(database.authenticatorUrl);
  const lite = await createLite({ ...database, jwtSecret });
  const requests: { method: string; path: string }[] = [];
  const names = new Map<string, string>();
  const faults = new SupabaseFaultPlan();

  const app = new Hono();
  app.use(cors({ origin: '*', exposeHeaders: ['content-range'] }));
  app.onError((error, context) => {
    if (!(error instanceof RejectedRequestError)) throw error;
    // The gateway's own rejections have no code; one with a code is PostgREST's, about a token.
    if ('code' in error.body) {
      context.header(
        'www-authenticate',
        `Bearer error="invalid_token", error_description="${error.body['message']}"`,
      );
    }
    return context.json(error.body, error.status);
  });

  app.use('/auth/v1/.well-known/*', async (context, next) => {
    await next();
    context.header('cache-control', 'public, max-age=600');
  });
  app.get('/auth/v1/.well-known/jwks.json', (context) => context.json(tokens.keySet()));
  app.get('/auth/v1/.well-known/openid-configuration', (context) =>
    context.json({ issuer: tokens.issuer, jwks_uri: `${tokens.issuer}/.well-known/jwks.json` }),
  );

  app.all('/auth/v1/*', async (context) => {
    const identity = await identify(context.req.raw.headers, { publishableKey, secretKey }, tokens);
    const request = await copyRequest(context);
    request.headers.delete('authorization');
    if (identity.claims.sub) {
      const token = await tokens.sign(identity.claims, { algorithm: 'HS256' });
      request.headers.set('authorization', `Bearer ${token}`);
    }
    return withSignedToken(await lite.auth(request), tokens, names);
  });

  app.post('/rest/v1/rpc/:name', async (context) => {
    const identity = await identify(context.req.raw.headers, { publishableKey, secretKey }, tokens);
    const request = {
      schema: context.req.header('content-profile'),
      name: context.req.param('name'),
      body: (await context.req.text()) || '{}',
      wantsSingleRow: context.req.header('accept') === 'application/vnd.pgrst.object+json',
    };
    return functions.call(request, identity);
  });

  app.all('/rest/v1/*', async (context) => {
    const identity = await identify(context.req.raw.headers, { publishableKey, secretKey }, tokens);
    return lite.rest(await copyRequest(context), identity);
  });

  const listener = getRequestListener(app.fetch, { overrideGlobalObjects: false });
  const underWay = new Set<Promise<void>>();
  const answer: typeof listener = async (request, response) => {
    const answering = listener(request, response);
    underWay.add(answering);
    await answering.finally(() => underWay.delete(answering));
  };
  server.on('request', (request, response) => {
    const { pathname } = new URL(request.url ?? '/', url);
    requests.push({ method: request.method ?? '', path: pathname });
    const fault = faults.take(pathname);
    switch (fault?.kind) {
      case undefined:
        void answer(request, response);
        break;
      case 'hang':
        break;
      case 'refused':
      case 'reset':
        request.socket.destroy();
        break;
      case 'reset-after':
        // Computes the answer, and drops it when it is about to be sent.
        response.writeHead = () => response.destroy();
        void answer(request, response);
        break;
      case 'status':
        response
          .writeHead(fault.status, { 'content-type': 'text/html' })
          .end('<html><h1>Not now</h1></html>');
        break;
      case 'sql-error': {
        const error = Object.assign(new Error('a fault that was switched on'), { code: fault.code });
        const { status, body } = toPostgrestError(error, 'service_role');
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      }
    }
  });

  function stopListening(): void {
    server.close();
    server.closeAllConnections();
  }

  return {
    url,
    publishableKey,
    secretKey,
    jwtSecret,
    requests,
    signUserToken: tokens.sign,
    verifyUserToken: tokens.verify,
    rotateSigningKey: tokens.rotate,
    revokeSigningKeys: tokens.revoke,
    nameOf: (userId) => names.get(userId) ?? userId,
    async createUser(email, password) {
      const response = await fetch(`${url}/auth/v1/signup`, {
        method: 'POST',
        headers: { apikey: publishableKey, 'content-type': 'application/json' },
        body: JSON.stringify({ email, password }),
      });
      const body = (await response.json()) as { user?: { id: string } };
      if (!body.user)
        throw new Error(`Sign-up of ${email} failed with ${response.status}: ${JSON.stringify(body)}`);
      return body.user.id;
    },
    async setFault(fault) {
      faults.set(fault);
      if (fault?.kind === 'refused') stopListening();
      else if (!server.listening && (await listen(server, ownPort)) !== ownPort)
        throw new Error(`port ${ownPort} is in use by now`);
    },
    async stop() {
      stopListening();
      // lite never ends a connection whose request waits for another connection.
      await Promise.allSettled(underWay);
      await Promise.all([functions.close(), lite.close()]);
    },
  };
}

/** `new Request` and lite cannot use Hono's own request object. */
async function copyRequest({ req }: Context): Promise<Request> {
  const hasBody = req.method !== 'GET' && req.method !== 'HEAD';
  return new Request(req.url, {
    method: req.method,
    headers: new Headers(req.raw.headers),
    body: hasBody ? await req.arrayBuffer() : null,
  });
}

/**
 * lite signs access tokens with the shared secret and without an issuer: this replaces the token in its answer.
 *
 * @param names receives the name of the token's user
 */
async function withSignedToken(
  response: Response,
  tokens: UserTokens,
  names: Map<string, string>,
): Promise<Response> {
  if (!response.headers.get('content-type')?.includes('json')) return response;
  const body: unknown = await response.json();
  if (hasAccessToken(body)) {
    const claims = decodeJwt<{ email?: string }>(body.access_token);
    if (claims.sub && claims.email) names.set(claims.sub, claims.email.replace(/@.*/, ''));
    body.access_token = await tokens.sign(claims);
  }
  return Response.json(body, { status: response.status });
}

function hasAccessToken(body: unknown): body is { access_token: string } {
  return (
    typeof body === 'object' &&
    body !== null &&
    'access_token' in body &&
    typeof body.access_token === 'string'
  );
}
