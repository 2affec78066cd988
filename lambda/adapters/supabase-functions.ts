import * as v from 'valibot';
import { StoreError, type StoreErrorCode } from '../connection/connection-store.ts';
import type { Metrics } from '../connection/metrics.ts';
import { HttpRequests, type ReceivedAnswer } from './http-requests.ts';
import type { ReadableSecret, SupabaseCredentials } from './secret.ts';

/** The functions' schema. Every call names it: otherwise PostgREST uses whichever schema a project exposes first. */
const SCHEMA = 'public';

/** No call starts with less. */
const LEAST_CALL_MILLISECONDS = 20;

/** Twice the size of a claim of 1,000 connections with the longest tokens. */
const LONGEST_BODY_BYTES = 16 * 1024 * 1024;

/** The functions of `supabase/migrations`, over Supabase's REST API, with the key that Secrets Manager holds. */
export class SupabaseFunctions {
  readonly #requests: HttpRequests;
  readonly #secret: ReadableSecret<SupabaseCredentials>;
  readonly #metrics: Metrics;

  constructor(url: URL, secret: ReadableSecret<SupabaseCredentials>, metrics: Metrics) {
    this.#requests = new HttpRequests(url, { longestBodyBytes: LONGEST_BODY_BYTES, isLenient: false });
    this.#secret = secret;
    this.#metrics = metrics;
  }

  /**
   * Calls a function. If the key is rejected, repeats the call once with a key that it reads again.
   *
   * @param schema of the answer
   * @returns rejects with a {@link StoreError}, or with a SecretError if the key cannot be read
   */
  async call<Row>(
    name: string,
    schema: v.GenericSchema<unknown, Row>,
    timeoutMilliseconds: number,
    parameters: Readonly<Record<string, unknown>> = {},
  ): Promise<Row> {
    const deadline = performance.now() + timeoutMilliseconds;
    const credentials = await this.#secret.read();
    try {
      return await this.#callWith(credentials, name, schema, deadline, parameters);
    } catch (error) {
      const newer = isKeyRejected(error) ? await this.#secret.renew(credentials) : credentials;
      if (newer === credentials) {
        throw this.#counted(error);
      }
      return await this.#callWith(newer, name, schema, deadline, parameters).catch((again) => {
        throw this.#counted(again);
      });
    }
  }

  #counted(error: unknown): unknown {
    if (isKeyRejected(error)) {
      this.#metrics.add({ supabaseKeyRejected: 1 });
    }
    return error;
  }

  async #callWith<Row>(
    credentials: SupabaseCredentials,
    name: string,
    schema: v.GenericSchema<unknown, Row>,
    deadline: number,
    parameters: Readonly<Record<string, unknown>>,
  ): Promise<Row> {
    const timeLeft = deadline - performance.now();
    // A request that is sent too late to be answered would still take effect, such as a lease without a holder.
    if (timeLeft < LEAST_CALL_MILLISECONDS) {
      throw explainFailure(name, 0, '');
    }
    const answer = await this.#requests.send(
      {
        method: 'POST',
        path: `/rest/v1/rpc/${name}`,
        headers: createHeaders(credentials.secret_key),
        body: JSON.stringify(parameters),
      },
      timeLeft,
    );
    const data = readAnswer(name, answer);
    const parsed = v.safeParse(schema, data);
    if (!parsed.success) {
      const where = parsed.issues.map((issue) => v.getDotPath(issue) ?? 'the answer').join(', ');
      throw new StoreError(
        'STORE_ANSWER_UNEXPECTED',
        `${name} answered with something unexpected at ${where}: ${ADVICE.STORE_ANSWER_UNEXPECTED}`,
      );
    }
    return parsed.output;
  }
}

/** Like supabase-js: a legacy service_role key is a JWT and is also the bearer token; a secret key must not be. */
function createHeaders(secretKey: string): readonly string[] {
  const isLegacyKey = !secretKey.startsWith('sb_');
  return [
    ...['apikey', secretKey, 'accept', 'application/json'],
    ...['content-type', 'application/json', 'content-profile', SCHEMA],
    ...(isLegacyKey ? ['authorization', `Bearer ${secretKey}`] : []),
  ];
}

/** The JSON of a success; null if it is empty. Throws a {@link StoreError} for everything else. */
function readAnswer(name: string, { status, text, failure }: ReceivedAnswer): unknown {
  const isWhole = failure === null;
  const json = isWhole ? parseJson(text) : undefined;
  if (!isWhole || json === undefined || status < 200 || status > 299) {
    const parsed = v.safeParse(PostgrestError, json);
    throw explainFailure(name, isWhole ? status : 0, parsed.success ? parsed.output.code : '');
  }
  return json;
}

/** The parts of a PostgREST or gateway error that are read; its other fields may quote values. */
const PostgrestError = v.object({ code: v.string() });

/** Null: it is empty. Undefined: it is not JSON. */
function parseJson(text: string): unknown {
  try {
    return text === '' ? null : JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isKeyRejected(error: unknown): boolean {
  return error instanceof StoreError && error.code === 'KEY_REJECTED';
}

const ADVICE: Record<StoreErrorCode, string> = {
  STORE_UNAVAILABLE: 'Supabase did not answer or failed for now',
  MIGRATION_MISSING:
    'the database does not know the function: apply migrations (all files of supabase/migrations), or, right after ' +
    "applying them, wait a minute or run: notify pgrst, 'reload schema'",
  SCHEMA_NOT_EXPOSED:
    'the REST API does not expose the schema public: add it to the exposed schemas (Supabase: Settings, API)',
  PROFILES_HIDDEN:
    'row level security hides profiles from the owner of the spotify functions: alter table public.profiles no force ' +
    'row level security, or give that role bypassrls',
  KEY_REJECTED:
    'Supabase rejects the secret key: run "npm run operate -- fill-secret supabase --stage <stage>" with the project\'s ' +
    'present key',
  STORE_REFUSED: 'Supabase refused the call',
  STORE_ANSWER_UNEXPECTED: 'deploy the functions and apply the migrations of the same version',
};

/** Codes with one meaning, whatever their status. @see https://docs.postgrest.org/en/stable/references/errors.html */
const CODES = new Map<string, StoreErrorCode>([
  // PGRST202: not in PostgREST's copy of the schema, which it reloads soon after a migration; 42883: not in PostgreSQL.
  ['PGRST202', 'MIGRATION_MISSING'],
  ['42883', 'MIGRATION_MISSING'],
  ['PGRST106', 'SCHEMA_NOT_EXPOSED'],
  // Our own functions raise it, with a status (530) that would otherwise mean an outage.
  ['PT530', 'PROFILES_HIDDEN'],
]);

/** PostgREST's and PostgreSQL's codes; messages may quote values and are omitted. */
function explainFailure(name: string, status: number, sqlState: string): StoreError {
  const code = classifyFailure(status, sqlState);
  const advice =
    sqlState === 'PGRST125'
      ? 'there is no REST API of Supabase at this path: supabaseUrl must be the address of the project'
      : ADVICE[code];
  return new StoreError(code, `${name}: ${advice} (status ${status}, code ${sqlState || 'none'})`);
}

function classifyFailure(status: number, sqlState: string): StoreErrorCode {
  const known = CODES.get(sqlState);
  if (known !== undefined) {
    return known;
  }
  if (status === 401 || status === 403) {
    return 'KEY_REJECTED';
  }
  // An error without an error status does not come from PostgREST.
  // Class 40: deadlocks and serialization failures. 57014: statement timeout. 55P03: lock timeout. 25006: read only.
  if (status < 400 || status === 429 || status >= 500 || /^(40|53|57|55P03|25006)/.test(sqlState)) {
    return 'STORE_UNAVAILABLE';
  }
  return 'STORE_REFUSED';
}
