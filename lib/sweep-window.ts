/** Lifetime of Spotify's access tokens, in minutes. */
const accessTokenLifetimeMinutes = 60;

/** Minutes of reserve for a late schedule, a slow start and clocks that differ. */
const marginMinutes = 5;

/**
 * The window of a sweep. A sweep refreshes every token with less time left than this, so a token that it leaves
 * alone outlives the next sweep, including that sweep's own duration.
 *
 * @returns minutes before expiry
 */
export function sweepWindowMinutes(sweep: {
  readonly sweepIntervalMinutes: number;
  readonly expectedSweepMinutes: number;
}): number {
  return sweep.sweepIntervalMinutes + marginMinutes + sweep.expectedSweepMinutes;
}

/**
 * The longest interval between sweeps that the lifetime of a token allows. With a longer one, the window would cover
 * the whole lifetime, and every sweep would even refresh the tokens that the previous one has just stored.
 */
export function longestSweepIntervalMinutes(expectedSweepMinutes: number): number {
  return accessTokenLifetimeMinutes - 1 - marginMinutes - expectedSweepMinutes;
}
