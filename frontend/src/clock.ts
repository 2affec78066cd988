/** Time and randomness: the browser's own, unless a test injects others. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;

  /** Calls back once, after this many milliseconds (below 2^31); the returned function cancels it. */
  after(milliseconds: number, callback: () => void): () => void;

  /** A random number from 0 up to, not including, 1. */
  random(): number;
}

export const browserClock: Clock = {
  now: () => Date.now(),
  after(milliseconds, callback) {
    const timer = setTimeout(callback, milliseconds);
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
};

/**
 * How long to wait after a failure: `firstMilliseconds`, doubled with every previous failure, at most
 * `longestMilliseconds`. A random factor between a half and one keeps pages that failed together from retrying
 * together.
 */
export function computeBackoffMilliseconds(
  failuresBefore: number,
  firstMilliseconds: number,
  longestMilliseconds: number,
  clock: Clock,
): number {
  return Math.min(longestMilliseconds, firstMilliseconds * 2 ** failuresBefore) * (0.5 + clock.random() / 2);
}
