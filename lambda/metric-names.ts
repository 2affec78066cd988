/**
 * The metrics that the functions (`lambda/`) write to CloudWatch and the stack (`lib/`) watches. This file imports nothing.
 * Every metric has one dimension, the name of the stack; none identifies a user.
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
  /** Attempts of one sweeping invocation that failed temporarily, for any reason. Count, at its end. */
  sweepFailed: 'SweepFailed',
  /** Attempts of one sweeping invocation to which Spotify gave no usable answer. Count, at its end. */
  sweepUnavailable: 'SweepUnavailable',
  /** Connections that one sweeping invocation marked dead. Count, at its end. */
  sweepRevoked: 'SweepRevoked',
  /** Calls of one sweeping invocation that Spotify answered with 429. Count, at its end. */
  sweepThrottled: 'SweepThrottled',
  /** Outcomes of one sweeping invocation that came too late: the connection had changed meanwhile. Count, at its end. */
  sweepStale: 'SweepStale',
  /** Connections that are still due when one sweeping invocation ends. Count. */
  sweepRemaining: 'SweepRemaining',
  /** How long one sweeping invocation took. Milliseconds, at its end. */
  sweepDurationMilliseconds: 'SweepDuration',
  /** Connections that are due when a sweep begins. Count, by its first invocation. */
  sweepDue: 'SweepDue',
  /** 1 when a sweep that the schedule started came to its end and could do its work, or waits for secrets that are still empty; not written by helpers or by hand. Count. */
  scheduledSweepFinished: 'ScheduledSweepFinished',

  /** Connections whose grant is alive. Count, at the end of a sweep. */
  connected: 'Connected',
  /** Connections whose grant is alive and whose token has expired. Count, at the end of a sweep. */
  expired: 'Expired',
  /** Time since the first of the expired tokens expired; 0 if there is none. Seconds, at the end of a sweep. */
  oldestOverdueSeconds: 'OldestOverdue',
  /** Connections whose user has to reconnect. Count, at the end of a sweep. */
  reauthorizationRequired: 'ReauthorizationRequired',
  /** Living connections that Spotify's six-month limit ends within 30 days. Count, at the end of a sweep. */
  reauthorizationsDue: 'ReauthorizationsDue',
  /** Connections whose last expiry from outside cannot be true, because its writer has a bug. Count, at the end of a sweep. */
  implausibleExpiries: 'ImplausibleExpiries',
  /** Connections that share a refresh token with another profile. Count, at the end of a sweep. */
  sharedTokens: 'SharedTokens',
  /** Changes of profiles since the last sweep that did not reach the queue at once; the next sweep repairs that. Count. */
  missedProfileChanges: 'MissedProfileChanges',

  /** Reauthorization events that the event bus accepted. Count, per batch. */
  eventsSent: 'EventsSent',
  /** Reauthorization events that the event bus rejected; the next sweep sends them again. Count, per batch. */
  eventsNotSent: 'EventsNotSent',

  /** 1 when Spotify rejected our client, or when a sweep stopped because Spotify rejected everything; otherwise a sweep writes 0. Count. */
  clientRejected: 'ClientRejected',
  /** 1 when Supabase rejected our key, even when read again. Count, each time. */
  supabaseKeyRejected: 'SupabaseKeyRejected',
  /** New refresh tokens that Supabase could not store and the rescue queue accepted. Count, each time. */
  rescueQueued: 'RescueQueued',
  /** Refresh tokens that waited in the rescue queue and are stored, or no longer needed. Count, each time. */
  rescueStored: 'RescueStored',
  /** New refresh tokens that neither Supabase nor the rescue queue accepted: they are lost. Count, each time. */
  rescueFailed: 'RescueFailed',
  /** Profiles whose new tokens, or whose removal of tokens, Bondhu's schema rejected. Count, each time. */
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
  /** Status calls that answered: the grant is dead, the user has to reconnect. Count. */
  statusReauthorizationRequired: 'StatusReauthorizationRequired',
  /** Status calls that answered: the token has expired and could not be refreshed for now. Count. */
  statusRefreshFailed: 'StatusRefreshFailed',
  /** Status calls that were rejected: 400, 401 or 403. Count. */
  statusRefused: 'StatusRefused',
  /** Status calls answered with 503 because their token names a signing key that may be newer than the known ones. Count. */
  statusKeyUnknown: 'StatusKeyUnknown',
  /** Status calls that could not find out the state: 503. Count. */
  statusUnavailable: 'StatusUnavailable',
  /** How long the function took to answer a status call, whatever the answer. Milliseconds. */
  statusLatencyMilliseconds: 'StatusLatency',
} as const;
