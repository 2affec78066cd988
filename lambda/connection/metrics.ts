import type { MetricNames } from '../metric-names.ts';

/** What is measured. */
export type Metric = keyof typeof MetricNames;

/** Numbers for alarms and dashboards, as use cases see them. */
export interface Metrics {
  /** Writes measurements down at once: whoever is killed a moment later has still been counted. */
  add(measurements: Readonly<Partial<Record<Metric, number>>>): void;
}
