import * as v from 'valibot';
import type { LogLine } from './live-view-events.ts';

/** The fields of a line that are read; each may be missing. */
const Fields = v.pipe(v.string(), v.parseJson(), v.record(v.string(), v.unknown()));

/** Fields of every line that are not shown, or have their own column. */
const HIDDEN = new Set([
  'level',
  'message',
  'timestamp',
  'service',
  'cold_start',
  'function_arn',
  'function_memory_size',
  'function_name',
  'function_request_id',
  'request_id',
  'sampling_rate',
  'xray_trace_id',
  'user_id',
  'outcome',
  'status',
  'latency_ms',
  'duration_ms',
  'expires_at',
  'new_expires_at',
  'seconds_left',
  'needs_refresh',
  'role',
  'link',
]);

/**
 * Makes a readable line of a line of a function's log, of the API's access log, of an event or of an alarm's change.
 *
 * @param source the function, the API or the service
 * @param nameOf a user's name, by id
 * @returns undefined for lines that are not shown: metrics, and access log lines of calls that the function logs itself
 */
export function readLogLine(
  source: string,
  line: string,
  nameOf: (userId: string) => string,
): LogLine | undefined {
  const at = new Date().toISOString();
  const plain = {
    at,
    level: 'INFO',
    source: shorten(source),
    what: line,
    user: null,
    outcome: null,
    durationMillis: null,
    details: '',
  } as const;
  const parsed = v.safeParse(Fields, line);
  if (!parsed.success) return line.trim() === '' ? undefined : plain;
  const fields = parsed.output;
  if ('_aws' in fields) return undefined;
  if ('routeKey' in fields) return readAccess(fields, plain);
  if ('detail-type' in fields) return readEvent(fields, plain, nameOf);
  if (fields['type'] === 'platform.report') return readReport(fields, plain);
  const { level, message, service, user_id, outcome, status, latency_ms, duration_ms } = fields;
  return {
    at,
    level: level === 'WARN' || level === 'ERROR' ? level : 'INFO',
    source: typeof service === 'string' ? service : plain.source,
    what: String(message ?? line),
    user: typeof user_id === 'string' ? nameOf(user_id) : null,
    outcome: textOf(outcome ?? status),
    durationMillis: millisOf(duration_ms ?? latency_ms),
    details: describe(fields),
  };
}

/** The function logs the calls that reach it; the gateway's line is shown for the others. */
function readAccess(fields: Record<string, unknown>, plain: LogLine): LogLine | undefined {
  const reason = [fields['error'], fields['integrationError']].find(
    (text) => text !== '-' && text !== undefined,
  );
  if (reason === undefined) return undefined;
  return {
    ...plain,
    level: 'WARN',
    source: 'API',
    what: `answered ${fields['status']}: ${reason}`,
    durationMillis: millisOf(fields['responseLatency']),
  };
}

function readEvent(
  fields: Record<string, unknown>,
  plain: LogLine,
  nameOf: (userId: string) => string,
): LogLine {
  const { user_id, days } = Object(fields['detail']);
  return {
    ...plain,
    what: `event ${fields['detail-type']}`,
    user: typeof user_id === 'string' ? nameOf(user_id) : null,
    details: days === undefined ? '' : `days=${days}`,
  };
}

/** The platform's own line about an invocation that did not finish. */
function readReport(fields: Record<string, unknown>, plain: LogLine): LogLine {
  const { status, errorType } = Object(fields['record']);
  return {
    ...plain,
    level: 'ERROR',
    what: 'invocation ended',
    outcome: textOf(status),
    details: String(errorType),
  };
}

/** Function names begin with the stack's name and end with a unique suffix. */
function shorten(source: string): string {
  if (source.includes('SweeperFunction')) return 'sweeper';
  return source.includes('StatusFunction') ? 'status' : source;
}

/** Zero, empty and usual values are not shown. */
function describe(fields: Record<string, unknown>): string {
  return Object.entries(fields)
    .filter(([name, value]) => !HIDDEN.has(name) && Boolean(value) && value !== 'applied')
    .map(([name, value]) => (value === true ? name : `${name}=${textOf(value)}`))
    .join(' ');
}

function textOf(value: unknown): string | null {
  if (value === undefined || value === null) return null;
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function millisOf(value: unknown): number | null {
  const number = Number(value ?? Number.NaN);
  return Number.isNaN(number) ? null : number;
}
