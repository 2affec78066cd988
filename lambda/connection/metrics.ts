import type { MetricNames } from '../metric-names.ts';

/** Metric values by name. */
export type Metric = keyof typeof MetricNames;

/** Metrics for alarms and dashboards, for use cases. */
export interface Metrics {
  /** Writes metrics at once, so that they survive if the process is killed a moment later. */
  add(measurements: Readonly<Partial<Record<Metric, number>>>): void;
}
