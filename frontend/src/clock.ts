/** Time and chance; the browser's own unless a test brings another. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;

  /** Calls back once, after that many milliseconds (below 2^31); the function returned prevents it. */
  after(milliseconds: number, callback: () => void): () => void;

  /** A number from 0 up to, not including, 1. */
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
 * How long to wait after a failure: `firstMilliseconds` doubled with every failure before it, at most
 * `longestMilliseconds`, of which a random half to whole is taken, so that pages which failed together do not come
 * back together.
 */
export function computeBackoffMilliseconds(
  failuresBefore: number,
  firstMilliseconds: number,
  longestMilliseconds: number,
  clock: Clock,
): number {
  return Math.min(longestMilliseconds, firstMilliseconds * 2 ** failuresBefore) * (0.5 + clock.random() / 2);
}
