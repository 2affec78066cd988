export interface ReadableLogLine {
  /** ISO 8601; empty where the line names no time. */
  readonly at: string;
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
  'sampling_rate',
  'xray_trace_id',
]);

/** Makes a line of a function's JSON log, or of the access log, readable; any other line stays as it is. */
export function readLogLine(source: string, line: string): ReadableLogLine {
  const fields = parseObject(line);
  if (!fields) return { at: '', level: 'INFO', text: line };
  const { level = 'INFO', message = source, timestamp = '', service = '' } = fields;
  const details = Object.entries(fields)
    .filter(([name]) => !BORING.has(name))
    .map(([name, value]) => `${name}=${typeof value === 'object' ? JSON.stringify(value) : value}`);
  return {
    at: String(timestamp),
    level: String(level),
    text: [service, message, ...details].filter((part) => part !== '').join(' '),
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
