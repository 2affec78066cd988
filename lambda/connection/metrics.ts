/** What is measured; `lambda/metric-names.ts` says what each means. */
export type Metric =
  | 'sweepRefreshed'
  | 'sweepFailed'
  | 'sweepRevoked'
  | 'sweepThrottled'
  | 'sweepStale'
  | 'sweepRemaining'
  | 'sweepDurationMilliseconds'
  | 'clientRejected'
  | 'storeRejected'
  | 'rescueQueued'
  | 'rescueStored'
  | 'rescueFailed'
  | 'breakerOpen';

/** Numbers for alarms and dashboards, as use cases see them. */
export interface Metrics {
  /** Writes measurements down at once: whoever is killed a moment later has still been counted. */
  add(measurements: Readonly<Partial<Record<Metric, number>>>): void;
}
