const LONGEST_SECONDS = 60 * 60;

/**
 * How many seconds the answer asks to wait (RFC 9110, section 10.2.3), at most an hour; null where it does not say, or
 * where the API does not let the page read it. A date is read against the answer's own `Date` where it is readable.
 */
export function retryAfterSeconds(headers: Headers, now: number): number | null {
  const value = headers.get('retry-after');
  if (value === null) {
    return null;
  }
  const seconds = Number(value);
  const dateOfAnswer = Date.parse(headers.get('date') ?? '') || now;
  return boundedRetryAfter(Number.isNaN(seconds) ? (Date.parse(value) - dateOfAnswer) / 1_000 : seconds);
}

/** Seconds from none to an hour; null for what is no number. */
export function boundedRetryAfter(seconds: number): number | null {
  return Number.isNaN(seconds) ? null : Math.min(LONGEST_SECONDS, Math.max(0, seconds));
}
