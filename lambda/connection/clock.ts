/**
 * Time as the domain needs it. Durations only: which moment it is, is the database's to say, so a function whose
 * clock is wrong decides nothing differently.
 */
export interface Clock {
  /** Milliseconds of a clock that never jumps; only differences mean anything. */
  monotonicMilliseconds(): number;
  /** Resolves after so many milliseconds. */
  sleep(milliseconds: number): Promise<void>;
}

/** Whole milliseconds from now until a moment of the same clock; never negative. */
export function millisecondsUntil(clock: Clock, deadline: number): number {
  return Math.max(0, Math.floor(deadline - clock.monotonicMilliseconds()));
}
