import { inspect } from 'node:util';
import type { PostgresConnection } from '@supabase/lite/postgres';
import type { JWTPayload } from 'jose';
import { createAuthFunctions } from './bondhu-database.ts';
import { maximumRows } from './function-calls.ts';
import type { Identity } from './identity.ts';
import { isDatabaseError, toPostgrestError } from './postgrest-error.ts';

// lite replaces this by a function that throws if a warning is an Error, as Node's own are, which would end the process.
const { emitWarning } = process;
const { App } = await import('@supabase/lite');
const { createPostgresConnection } = await import('@supabase/lite/postgres');
process.emitWarning = emitWarning;

export interface LiteOptions {
  /** The login role that owns the schema auth, like GoTrue's. */
  readonly authAdminUrl: string;
  /** A login role that sees every table and may switch to the API roles. */
  readonly ownerUrl: string;
  readonly jwtSecret: string;
}

/** Supabase Auth, and REST for tables, by Supabase's own `@supabase/lite`. The identity of requests is already checked. */
export interface Lite {
  /** @param request may carry a user token, which must be signed with `jwtSecret` */
  auth(request: Request): Promise<Response>;
  rest(request: Request, identity: Identity): Promise<Response>;
  close(): Promise<void>;
}

/** Creates missing tables of Supabase Auth. */
export async function createLite({ authAdminUrl, ownerUrl, jwtSecret }: LiteOptions): Promise<Lite> {
  process.env['LITE_TELEMETRY'] = '0';
  // The least that bcrypt takes: these passwords protect nothing, and lite's own cost is a tenth of a second for each.
  process.env['LITE_AUTH_BCRYPT_COST'] = '4';
  const onnotice = () => {};
  const authConnection = createPostgresConnection({
    url: authAdminUrl,
    postgresOptions: { onnotice, types: { timestamptz } },
  });
  const restConnection = createPostgresConnection({
    url: ownerUrl,
    postgresOptions: { onnotice, connection: { statement_timeout: 8000 }, types: { timestamptz } },
  });
  keepGrants(restConnection);
  answerLikePostgrest(restConnection);

  const auth = new App({
    connection: authConnection,
    db: { migrations: { enabled: false } },
    auth: { enabled: true, jwt_secret: jwtSecret, email: { enable_confirmations: false } },
    options: { server: { apiKeys: false } },
  });
  const rest = new App({
    connection: restConnection,
    auth: { enabled: false },
    api: { schemas: ['public'], max_rows: maximumRows },
    options: { server: { apiKeys: { resolver: readIdentity } } },
  });
  await auth.ensureSystemSchema();
  await createAuthFunctions(authAdminUrl);

  return {
    auth: async (request) => auth.fetch(request),
    async rest(request, identity) {
      const response = await rest.fetch(withIdentity(request, identity));
      if (response.status === 401) response.headers.set('www-authenticate', 'Bearer');
      return response;
    },
    async close() {
      await Promise.all([authConnection.close(), restConnection.close()]);
    },
  };
}

/** Puts the identity where lite looks for it. */
function withIdentity(request: Request, { claims }: Identity): Request {
  const headers = new Headers(request.headers);
  headers.delete('authorization');
  headers.set('apikey', encodeURIComponent(JSON.stringify(claims)));
  return new Request(request, { headers });
}

async function readIdentity(apiKey: string) {
  const claims = JSON.parse(decodeURIComponent(apiKey)) as JWTPayload;
  const type = claims['role'] === 'service_role' ? ('secret' as const) : ('publishable' as const);
  return { type, claims };
}

/** lite prints PostgreSQL's own format, `2026-01-31 12:00:00+00`; PostgREST prints ISO 8601. */
const timestamptz = {
  to: 1184,
  from: [1184],
  serialize: (value: unknown) => value,
  parse: (text: string) => text.replace(' ', 'T').replace(/([+-]\d\d)$/, '$1:00'),
};

/**
 * Before its first request lite grants every table of every schema with row level security to all API roles, which
 * Supabase does not do. It skips that if it believes that it has done so.
 */
function keepGrants(connection: PostgresConnection): void {
  Object.assign(connection, { rlsState: 'active' });
}

/**
 * lite answers many PostgreSQL errors with its own code, SUP. It does forward errors that a function raises for PostgREST
 * (SQLSTATE PGRST), so this turns every error into one of those. lite answers 42501 correctly itself.
 */
function answerLikePostgrest(connection: PostgresConnection): void {
  const normalizeDbError = connection.normalizeDbError.bind(connection);
  connection.normalizeDbError = (error) => {
    const normalized = normalizeDbError(error);
    if (!isDatabaseError(normalized) || normalized.code === 'PGRST' || normalized.code === '42501')
      return normalized;
    const { status, body } = toPostgrestError(normalized, 'authenticated');
    return {
      code: 'PGRST',
      message: JSON.stringify(body),
      detail: JSON.stringify({ status, headers: {} }),
      // lite prints every error; PostgreSQL's messages may quote a row.
      [inspect.custom]: () => `REST answered ${status} ${body.code}`,
    };
  };
}
