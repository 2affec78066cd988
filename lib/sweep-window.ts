/** Minutes that an access token of Spotify lives. */
const accessTokenLifetimeMinutes = 60;

/** Minutes kept in hand for a late schedule, a slow start and clocks that differ. */
const marginMinutes = 5;

/**
 * The window of a sweep: a sweep refreshes every token that has less than this left, so that a token it passes
 * over outlives the sweep after it, that sweep's own duration included.
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
 * The longest interval between sweeps that the life of a token can carry. With a longer one the window would
 * reach the whole life, and every sweep would refresh even the tokens that the one before has just stored.
 */
export function longestSweepIntervalMinutes(expectedSweepMinutes: number): number {
  return accessTokenLifetimeMinutes - 1 - marginMinutes - expectedSweepMinutes;
}
