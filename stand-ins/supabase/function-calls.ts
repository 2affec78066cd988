import pg from 'pg';
import type { Identity } from './identity.ts';
import { isDatabaseError, type PostgrestError, toPostgrestError } from './postgrest-error.ts';

/** PostgREST's `db-max-rows`, at Supabase's default: it silently cuts off longer results. */
export const maximumRows = 1000;

/** A request to call one function. */
export interface FunctionCall {
  /** The schema that the request names, if it does; public is the exposed one. */
  readonly schema: string | undefined;
  readonly name: string;
  /** The request body: the arguments by name, as a JSON object. */
  readonly body: string;
  /** Whether the caller wants exactly one row, like supabase-js' `single()`. */
  readonly wantsSingleRow: boolean;
}

/** Calls functions of the database as PostgREST does. */
export interface FunctionCaller {
  call(request: FunctionCall, identity: Identity): Promise<Response>;
  close(): Promise<void>;
}

interface DatabaseFunction {
  readonly parameters: readonly { readonly name: string; readonly type: string }[];
  readonly optionalCount: number;
  readonly returnsSet: boolean;
  readonly returnsVoid: boolean;
  /** Whether a result is a single value, including jsonb, and not a row. */
  readonly returnsValue: boolean;
  /** The function's own, otherwise the role's, otherwise the session's. */
  readonly statementTimeout: string;
}

/**
 * Implements `POST /rest/v1/rpc/<name>`: one transaction per call, as the identity's role and with its statement
 * timeout; PostgreSQL itself converts every value to JSON. Selecting from or filtering a result is not
 * implemented.
 *
 * @param authenticatorUrl the login role of PostgREST
 * @see https://docs.postgrest.org/en/stable/references/api/functions.html
 */
export function createFunctionCaller(authenticatorUrl: string): FunctionCaller {
  const pool = new pg.Pool({ connectionString: authenticatorUrl, max: 10 });
  // If the server ends an idle connection, the next call opens a new one.
  pool.on('error', () => {});

  return {
    async call(request, identity) {
      const { schema = 'public' } = request;
      if (schema !== 'public') return answer(406, describeUnexposed(schema));
      const argumentNames = parseArgumentNames(request.body);
      if (!argumentNames) return answer(400, problem('PGRST102', 'Empty or invalid json'));

      let client: pg.PoolClient;
      try {
        client = await pool.connect();
      } catch {
        return answer(503, problem('PGRST000', 'Database connection error. Retrying the connection.'));
      }
      let isBroken = true;
      try {
        const response = await callFunction(client, request, argumentNames, identity);
        isBroken = false;
        return response;
      } catch (error) {
        if (!isDatabaseError(error))
          return answer(503, problem('PGRST001', 'Database client error. Retrying the connection.'));
        const { status, body } = toPostgrestError(error, identity.role);
        return answer(status, body);
      } finally {
        client.release(isBroken);
      }
    },
    close: () => pool.end(),
  };
}

async function callFunction(
  client: pg.PoolClient,
  request: FunctionCall,
  argumentNames: readonly string[],
  identity: Identity,
): Promise<Response> {
  const candidates = await findFunctions(client, request.name, identity.role);
  const found = candidates.find((candidate) => accepts(candidate, argumentNames));
  if (!found) return answer(404, describeMissing(request.name, argumentNames));
  const statement = callStatement(request, found, argumentNames);
  const result = await runInTransaction(client, identity, found.statementTimeout, statement);
  return answerWith(result, found, request);
}

function parseArgumentNames(body: string): string[] | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.keys(value)
      : undefined;
  } catch {
    return undefined;
  }
}

async function findFunctions(client: pg.PoolClient, name: string, role: string): Promise<DatabaseFunction[]> {
  const { rows } = await client.query<DatabaseFunction>({
    name: 'find functions',
    text: findFunctionsStatement,
    values: [name, role],
  });
  return rows;
}

/** Prepared once per connection, because planning it takes longer than running it. */
const findFunctionsStatement = `
  select
    (
      select coalesce(json_agg(json_build_object('name', a.name, 'type', format_type(a.type, null)) order by a.position), '[]')
      from unnest(p.proargnames, coalesce(p.proallargtypes, p.proargtypes::oid[]), p.proargmodes)
        with ordinality as a (name, type, mode, position)
      where a.type is not null and coalesce(a.mode, 'i') in ('i', 'b', 'v')
    ) as parameters,
    p.pronargdefaults as "optionalCount",
    p.proretset as "returnsSet",
    p.prorettype = 'void'::regtype as "returnsVoid",
    p.proargmodes is null and t.typtype <> 'c' and t.oid <> 'record'::regtype as "returnsValue",
    coalesce(
      (select split_part(s, '=', 2) from unnest(p.proconfig) s where s like 'statement_timeout=%'),
      (select split_part(s, '=', 2) from unnest(r.rolconfig) s where s like 'statement_timeout=%'),
      current_setting('statement_timeout')
    ) as "statementTimeout"
  from pg_proc p
    join pg_type t on t.oid = p.prorettype
    left join pg_roles r on r.rolname = $2
  where p.pronamespace = 'public'::regnamespace and p.proname = $1 and p.prokind = 'f'`;

function accepts({ parameters, optionalCount }: DatabaseFunction, argumentNames: readonly string[]): boolean {
  const required = parameters.slice(0, parameters.length - optionalCount);
  return (
    argumentNames.every((name) => parameters.some((parameter) => parameter.name === name)) &&
    required.every((parameter) => argumentNames.includes(parameter.name))
  );
}

interface CallResult {
  /** The body of the answer. */
  readonly json: string;
  readonly rowCount: number;
}

async function runInTransaction(
  client: pg.PoolClient,
  { role, claims }: Identity,
  statementTimeout: string,
  statement: pg.QueryConfig,
): Promise<CallResult> {
  await client.query('begin');
  await client.query(
    `select set_config('search_path', 'public, extensions', true), set_config('role', $1, true),
       set_config('request.jwt.claims', $2, true), set_config('statement_timeout', $3, true)`,
    [role, JSON.stringify(claims), statementTimeout],
  );
  const { rows } = await client.query<CallResult>(statement);
  await client.query('commit');
  return rows[0] ?? { json: 'null', rowCount: 0 };
}

/** Returns a statement that takes the arguments as one JSON value and returns one. */
function callStatement(
  { name, body, wantsSingleRow }: FunctionCall,
  { parameters, returnsValue, returnsSet }: DatabaseFunction,
  argumentNames: readonly string[],
): pg.QueryConfig {
  const given = parameters.filter((parameter) => argumentNames.includes(parameter.name));
  const columns = given.map((parameter) => `${pg.escapeIdentifier(parameter.name)} ${parameter.type}`);
  const inputs = given
    .map(({ name }) => pg.escapeIdentifier(name))
    .map((name) => `${name} => arguments.${name}`);
  const text = `
    with called as (
      select result.*
      from ${columns.length > 0 ? `json_to_record($1) as arguments (${columns.join(', ')}),` : ''}
        lateral public.${pg.escapeIdentifier(name)}(${inputs.join(', ')}) as result ${returnsValue ? '(value)' : ''}
      ${returnsSet ? `limit ${maximumRows}` : ''}
    ), collected as (
      select coalesce(json_agg(${returnsValue ? 'called.value' : 'called'}), '[]') as rows, count(*)::int as row_count
      from called
    )
    select (rows ${returnsSet && !wantsSingleRow ? '' : '-> 0'})::text as json, row_count as "rowCount" from collected`;
  return { text, values: columns.length > 0 ? [body] : [] };
}

function answerWith(
  { json, rowCount }: CallResult,
  called: DatabaseFunction,
  { schema, wantsSingleRow }: FunctionCall,
): Response {
  const headers = {
    'content-range': rowCount > 0 ? `0-${rowCount - 1}/*` : '*/*',
    ...(schema && { 'content-profile': schema }),
  };
  if (called.returnsVoid) return new Response(null, { status: 204, headers });
  if (wantsSingleRow && rowCount !== 1) {
    const details = `The result contains ${rowCount} rows`;
    return answer(406, problem('PGRST116', 'Cannot coerce the result to a single JSON object', details));
  }
  return new Response(json, {
    headers: {
      'content-type': `${wantsSingleRow ? 'application/vnd.pgrst.object+json' : 'application/json'}; charset=utf-8`,
      ...headers,
    },
  });
}

function problem(code: string, message: string, details: string | null = null): PostgrestError['body'] {
  return { code, details, hint: null, message };
}

function describeUnexposed(schema: string): PostgrestError['body'] {
  const hint = 'Only the following schemas are exposed: public';
  return { ...problem('PGRST106', `Invalid schema: ${schema}`), hint };
}

function describeMissing(name: string, argumentNames: readonly string[]): PostgrestError['body'] {
  const list = argumentNames.toSorted().join(', ');
  const searched =
    argumentNames.length === 0
      ? `without parameters`
      : `with ${argumentNames.length === 1 ? 'parameter' : 'parameters'} ${list}`;
  return problem(
    'PGRST202',
    `Could not find the function public.${name}${list ? `(${list})` : ' without parameters'} in the schema cache`,
    `Searched for the function public.${name} ${searched} or with a single unnamed json/jsonb parameter, but no matches were found in the schema cache.`,
  );
}

function answer(status: number, body: PostgrestError['body']): Response {
  const headers = {
    'content-type': 'application/json; charset=utf-8',
    ...(status === 401 && { 'www-authenticate': 'Bearer' }),
    ...(status === 503 && { 'retry-after': '0' }),
  };
  return Response.json(body, { status, headers });
}
