/** What is measured; `lambda/metric-names.ts` says what each means. */
export type Metric =
  | 'sweepRefreshed'
  | 'sweepFailed'
  | 'sweepUnavailable'
  | 'sweepRevoked'
  | 'sweepThrottled'
  | 'sweepStale'
  | 'sweepRemaining'
  | 'sweepDurationMilliseconds'
  | 'sweepDue'
  | 'scheduledSweepFinished'
  | 'connected'
  | 'expired'
  | 'oldestOverdueSeconds'
  | 'reauthorizationRequired'
  | 'reauthorizationsDue'
  | 'noticesSent'
  | 'noticesFailed'
  | 'clientRejected'
  | 'storeRejected'
  | 'rescueQueued'
  | 'rescueStored'
  | 'rescueFailed'
  | 'breakerOpen'
  | 'statusConnected'
  | 'statusDegraded'
  | 'statusNotConnected'
  | 'statusReauthorizationRequired'
  | 'statusRefreshFailed'
  | 'statusRefused'
  | 'statusUnavailable'
  | 'statusLatencyMilliseconds';

/** Numbers for alarms and dashboards, as use cases see them. */
export interface Metrics {
  /** Writes measurements down at once: whoever is killed a moment later has still been counted. */
  add(measurements: Readonly<Partial<Record<Metric, number>>>): void;
}
