import type { LogLine } from '../live-view-events.ts';

export interface ReadableLogLine {
  readonly level: string;
  readonly text: string;
}

/** What every line carries and nobody reads here. */
const BORING = new Set([
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
  'requestId',
  'requestTime',
  'sampling_rate',
  'xray_trace_id',
]);

/** Makes a line of a function's JSON log, or of the access log, readable; any other line stays as it is. */
export function readLogLine({ source, line }: LogLine): ReadableLogLine {
  const fields = parseObject(line);
  if (!fields) return { level: 'INFO', text: line };
  const { level = 'INFO', service = source, message } = fields;
  // The access log writes a dash for what there is not.
  const details = Object.entries(fields)
    .filter(([name, value]) => !BORING.has(name) && value !== '-')
    .map(([name, value]) => `${name}=${typeof value === 'object' ? JSON.stringify(value) : value}`);
  return {
    level: String(level),
    text: [service, message, ...details].filter((part) => part !== undefined).join(' '),
  };
}

function parseObject(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}
