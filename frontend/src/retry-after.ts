const LONGEST_SECONDS = 60 * 60;

/**
 * The seconds in `Retry-After` (RFC 9110, section 10.2.3), at most an hour; 0 if the header is missing, or if the page
 * is not allowed to read it.
 *
 * @param now a time in milliseconds since 1970, which a date is compared with
 */
export function readRetryAfterSeconds(header: string | null, now: number): number {
  return boundSeconds(header) || boundSeconds((Date.parse(header ?? '') - now) / 1_000);
}

/** A number of seconds from 0 to an hour; 0 for anything that is not a number. */
export function boundSeconds(value: unknown): number {
  return Math.min(LONGEST_SECONDS, Math.max(0, Number(value) || 0));
}
