const LONGEST_SECONDS = 60 * 60;

/**
 * The seconds that an answer asks to wait (RFC 9110, section 10.2.3), an hour at most; 0 where it does not say, or does
 * not let the page read it.
 *
 * @param now a moment in milliseconds since 1970, against which a date is read
 */
export function readRetryAfterSeconds(header: string | null, now: number): number {
  return boundSeconds(header) || boundSeconds((Date.parse(header ?? '') - now) / 1_000);
}

/** A number of seconds from 0 to an hour; 0 for what is no number. */
export function boundSeconds(value: unknown): number {
  return Math.min(LONGEST_SECONDS, Math.max(0, Number(value) || 0));
}
