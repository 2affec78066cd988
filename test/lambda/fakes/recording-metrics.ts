import type { Metrics } from '../../../lambda/connection/metrics.ts';

/** Metrics that keep what was measured. */
export class RecordingMetrics implements Metrics {
  readonly added: Parameters<Metrics['add']>[0][] = [];

  add: Metrics['add'] = (measurements) => void this.added.push(measurements);
}
