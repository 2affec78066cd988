const FIRST_DELAY_SECONDS = 30;
const LONGEST_DELAY_SECONDS = 30 * 60;

/**
 * How long a connection waits after a failed refresh: 30 s, doubled with every consecutive failure, at most 30 min. A
 * random factor between a half and one keeps connections that failed together from being retried together.
 *
 * @param failures how many attempts failed before this one
 * @param random a number from 0 up to, not including, 1
 */
export function computeBackoffSeconds(failures: number, random: number): number {
  const ceiling = Math.min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** failures);
  return ceiling * (0.5 + random / 2);
}
