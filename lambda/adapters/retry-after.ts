const DEFAULT_SECONDS = 30;
const SHORTEST_SECONDS = 1;
const LONGEST_SECONDS = 24 * 60 * 60;

/**
 * How long a 429 asks us to wait (RFC 9110, section 10.2.3), bounded to 1 s to 24 h. A date is read against the
 * answer's own `Date`, so that this machine's clock does not matter. Missing or unreadable: 30 s.
 */
export function readRetryAfterSeconds(headers: Headers): number {
  const value = headers.get('retry-after')?.trim() ?? '';
  const seconds = /^\d+(\.\d+)?$/.test(value)
    ? Number(value)
    : (Date.parse(value) - Date.parse(headers.get('date') ?? '')) / 1_000;
  return Number.isNaN(seconds)
    ? DEFAULT_SECONDS
    : Math.min(LONGEST_SECONDS, Math.max(SHORTEST_SECONDS, seconds));
}
