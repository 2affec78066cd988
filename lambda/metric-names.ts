/**
 * What the functions (`lambda/`) write to CloudWatch and the stack (`lib/`) watches. This file imports nothing.
 * Every metric has one dimension, the name of the stack, and none that names a user.
 */
export const METRIC_NAMESPACE = 'SpotifyAuth';

/** The dimension's name; Powertools gives it. */
export const METRIC_DIMENSION = 'service';

/**
 * Each metric: what it counts or measures, when it is written, in which unit. A count is written with the unit `Count`,
 * what ends in `Milliseconds` or `Seconds` here with that.
 */
export const MetricNames = {
  /** Connections whose new tokens one sweeping invocation stored. Count, at its end. */
  sweepRefreshed: 'SweepRefreshed',
  /** Attempts of one sweeping invocation that failed for now, whatever the cause. Count, at its end. */
  sweepFailed: 'SweepFailed',
  /** Attempts of one sweeping invocation to which Spotify gave no usable answer. Count, at its end. */
  sweepUnavailable: 'SweepUnavailable',
  /** Connections that one sweeping invocation marked dead. Count, at its end. */
  sweepRevoked: 'SweepRevoked',
  /** Calls of one sweeping invocation that Spotify answered with 429. Count, at its end. */
  sweepThrottled: 'SweepThrottled',
  /** Outcomes of one sweeping invocation that came too late: somebody else had changed the connection. Count, at its end. */
  sweepStale: 'SweepStale',
  /** Connections that are still due when one sweeping invocation ends. Count. */
  sweepRemaining: 'SweepRemaining',
  /** How long one sweeping invocation took. Milliseconds, at its end. */
  sweepDurationMilliseconds: 'SweepDuration',
  /** Connections that are due when a sweep begins. Count, by its first invocation. */
  sweepDue: 'SweepDue',
  /** 1 when a sweep that the schedule started came to its end and could do its work, or waits for secrets that are still empty; not written by helpers or by hand. Count. */
  scheduledSweepFinished: 'ScheduledSweepFinished',

  /** Connections whose grant lives. Count, at the end of a sweep. */
  connected: 'Connected',
  /** Connections whose grant lives and whose token has run out. Count, at the end of a sweep. */
  expired: 'Expired',
  /** Time since the first of the tokens that have run out did so; 0 when none has. Seconds, at the end of a sweep. */
  oldestOverdueSeconds: 'OldestOverdue',
  /** Connections that wait for their user to authorize again. Count, at the end of a sweep. */
  reauthorizationRequired: 'ReauthorizationRequired',
  /** Living connections that Spotify's six-month limit ends within 30 days. Count, at the end of a sweep. */
  reauthorizationsDue: 'ReauthorizationsDue',
  /** Connections whose last expiry from outside cannot be true: whoever writes it has a bug. Count, at the end of a sweep. */
  implausibleExpiries: 'ImplausibleExpiries',
  /** Connections whose refresh token another profile holds too. Count, at the end of a sweep. */
  sharedTokens: 'SharedTokens',
  /** Changes of profiles since the last sweep that did not reach the queue at once; the next sweep heals it. Count. */
  missedProfileChanges: 'MissedProfileChanges',

  /** Reauthorization events that the event bus took. Count, a batch at a time. */
  eventsSent: 'EventsSent',
  /** Reauthorization events that the event bus did not take; the next sweep sends them again. Count, a batch at a time. */
  eventsNotSent: 'EventsNotSent',

  /** 1 when Spotify refused our client, or a sweep stopped because it refused everything; a sweep writes 0 otherwise. Count. */
  clientRejected: 'ClientRejected',
  /** 1 when Supabase refused our key, a freshly read one included. Count, each time. */
  supabaseKeyRejected: 'SupabaseKeyRejected',
  /** New refresh tokens that Supabase did not take and the rescue queue did. Count, each time. */
  rescueQueued: 'RescueQueued',
  /** Refresh tokens that waited in the rescue queue and are stored, or no longer needed. Count, each time. */
  rescueStored: 'RescueStored',
  /** New refresh tokens that neither Supabase nor the rescue queue took: they are lost. Count, each time. */
  rescueFailed: 'RescueFailed',
  /** Profiles for which Bondhu's schema did not take tokens, or did not let them go. Count, each time. */
  profilesRefused: 'ProfilesRefused',
  /** 1 at the end of a sweep that finds nearly every grant refused, as if the credentials were another app's; else 0. Count. */
  nearlyAllRevoked: 'NearlyAllRevoked',
  /** 1 each time outcomes are recorded while the revocation breaker is open; 0 at the end of a sweep that finds it closed. Count. */
  breakerOpen: 'BreakerOpen',

  /** Status calls that answered: connected. Count, each time, as all that follow. */
  statusConnected: 'StatusConnected',
  /** Status calls that answered: connected, though the token could not be refreshed when it should have been. Count. */
  statusDegraded: 'StatusDegraded',
  /** Status calls that answered: never connected, or disconnected. Count. */
  statusNotConnected: 'StatusNotConnected',
  /** Status calls that answered: the grant is dead, the user has to authorize again. Count. */
  statusReauthorizationRequired: 'StatusReauthorizationRequired',
  /** Status calls that answered: the token has run out and could not be refreshed for now. Count. */
  statusRefreshFailed: 'StatusRefreshFailed',
  /** Status calls that were refused: 400, 401 or 403. Count. */
  statusRefused: 'StatusRefused',
  /** Status calls answered with 503 because their token names a signing key that may be newer than the known ones. Count. */
  statusKeyUnknown: 'StatusKeyUnknown',
  /** Status calls to which the state could not be told right now: 503. Count. */
  statusUnavailable: 'StatusUnavailable',
  /** How long the function took for the answer to a status call, whichever. Milliseconds. */
  statusLatencyMilliseconds: 'StatusLatency',
} as const;
