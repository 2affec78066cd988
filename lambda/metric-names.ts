/**
 * What the functions (`lambda/`) write to CloudWatch and the stack (`lib/`) can watch. This file imports nothing.
 * Every metric has one dimension, the name of the stack, and none that names a user.
 */
export const METRIC_NAMESPACE = 'SpotifyAuth';

/** The dimension's name; Powertools gives it. */
export const METRIC_DIMENSION = 'service';

/** Counts, unless the name says otherwise. */
export const MetricNames = {
  /** Of one sweep; see `SweepResult`. */
  sweepRefreshed: 'SweepRefreshed',
  sweepFailed: 'SweepFailed',
  sweepRevoked: 'SweepRevoked',
  sweepThrottled: 'SweepThrottled',
  sweepStale: 'SweepStale',
  sweepRemaining: 'SweepRemaining',
  sweepDurationMilliseconds: 'SweepDuration',
  /** Spotify refused our client, or a sweep stopped because it refused everything. */
  clientRejected: 'ClientRejected',
  /** Supabase refused our key, a freshly read one included. */
  storeRejected: 'StoreRejected',
  /** New refresh tokens that Supabase did not take: sent to the rescue queue, */
  rescueQueued: 'RescueQueued',
  /** taken out of it again, */
  rescueStored: 'RescueStored',
  /** or lost, because the queue did not take them either. */
  rescueFailed: 'RescueFailed',
  /** Outcomes were recorded while the revocation breaker was open. */
  breakerOpen: 'BreakerOpen',
} as const;
