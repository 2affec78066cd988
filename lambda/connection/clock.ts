/**
 * Time for the domain. Only durations: the database decides what time it is, so a function with a wrong clock makes
 * the same decisions.
 */
export interface Clock {
  /** Milliseconds of a monotonic clock; only differences mean anything. */
  monotonicMilliseconds(): number;
  /** Resolves after this many milliseconds. */
  sleep(milliseconds: number): Promise<void>;
}

/** Whole milliseconds from now until a time of the same clock; never negative. */
export function millisecondsUntil(clock: Clock, deadline: number): number {
  return Math.max(0, Math.floor(deadline - clock.monotonicMilliseconds()));
}
