/**
 * What the functions (`lambda/`) write to CloudWatch and the stack (`lib/`) watches. This file imports nothing.
 * Every metric has one dimension, the name of the stack, and none that names a user.
 */
export const METRIC_NAMESPACE = 'SpotifyAuth';

/** The dimension's name; Powertools gives it. */
export const METRIC_DIMENSION = 'service';

/** Counts, unless the name in the code says otherwise. */
export const MetricNames = {
  /** Of one invocation that sweeps; see `SweepResult`. */
  sweepRefreshed: 'SweepRefreshed',
  /** All attempts that failed for now, those to which Spotify gave no usable answer included. */
  sweepFailed: 'SweepFailed',
  sweepUnavailable: 'SweepUnavailable',
  sweepRevoked: 'SweepRevoked',
  sweepThrottled: 'SweepThrottled',
  sweepStale: 'SweepStale',
  sweepRemaining: 'SweepRemaining',
  sweepDurationMilliseconds: 'SweepDuration',
  /** Connections that were due when a sweep began. */
  sweepDue: 'SweepDue',
  /** A sweep that the schedule started came to its end and could do its work. Never by one by hand, nor by helpers. */
  scheduledSweepFinished: 'ScheduledSweepFinished',

  /** All connections, at the end of a sweep: those whose grant lives, */
  connected: 'Connected',
  /** those of them whose token has run out, */
  expired: 'Expired',
  /** for how long the one that ran out first has been so, */
  oldestOverdueSeconds: 'OldestOverdue',
  /** those that wait for their user to authorize again, */
  reauthorizationRequired: 'ReauthorizationRequired',
  /** and living ones that Spotify's six-month limit ends within 30 days. */
  reauthorizationsDue: 'ReauthorizationsDue',
  /** Connections, at the end of a sweep, whose last expiry from outside cannot be true: whoever writes it has a bug. */
  implausibleExpiries: 'ImplausibleExpiries',
  /** Connections, at the end of a sweep, whose refresh token another profile holds too. */
  sharedTokens: 'SharedTokens',
  /** Changes of profiles, since the last sweep, that did not reach the queue at once; the sweep after them heals it. */
  missedProfileChanges: 'MissedProfileChanges',

  /** Events for other teams that the bus took, */
  noticesSent: 'NoticesSent',
  /** and events that it did not take; the next sweep sends them again. */
  noticesFailed: 'NoticesFailed',

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
  /** Profiles for which Bondhu's schema did not take tokens, or did not let them go. */
  profilesRefused: 'ProfilesRefused',
  /** 1 at the end of a sweep that finds nearly every grant refused, as if the credentials were another app's; else 0. */
  nearlyAllRefused: 'NearlyAllRefused',
  /** 1 while the revocation breaker is open; 0 at the end of a sweep that finds it closed. */
  breakerOpen: 'BreakerOpen',

  /** Answers of the status call: connected, */
  statusConnected: 'StatusConnected',
  /** connected, though the token could not be refreshed when it should have been, */
  statusDegraded: 'StatusDegraded',
  /** never connected, or disconnected, */
  statusNotConnected: 'StatusNotConnected',
  /** the grant is dead, */
  statusReauthorizationRequired: 'StatusReauthorizationRequired',
  /** the token has run out and could not be refreshed for now, */
  statusRefreshFailed: 'StatusRefreshFailed',
  /** refused: 400, 401 or 403, */
  statusRefused: 'StatusRefused',
  /** the state cannot be known right now: 503. */
  statusUnavailable: 'StatusUnavailable',
  /** How long the function took for an answer, whichever. */
  statusLatencyMilliseconds: 'StatusLatency',
} as const;
