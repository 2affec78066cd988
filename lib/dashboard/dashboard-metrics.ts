import { Duration } from 'aws-cdk-lib';
import { type IMetric, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import type { Construct } from 'constructs';
import { type ConnectionMetricName, createConnectionMetric } from '../connection-metrics.ts';
import type { StageSettings } from '../settings/stage-settings.ts';

/** The metrics written by the functions of the scope's stack, as the dashboard draws them. */
export class DashboardMetrics {
  readonly #scope: Construct;

  readonly #sweepInterval: Duration;

  constructor(scope: Construct, { sweepIntervalMinutes }: Pick<StageSettings, 'sweepIntervalMinutes'>) {
    this.#scope = scope;
    this.#sweepInterval = Duration.minutes(sweepIntervalMinutes);
  }

  /** A metric that is written about once per sweep, so that each point of a graph is one sweep. */
  readPerSweep(name: ConnectionMetricName, statistic: string, label: string = name): IMetric {
    return createConnectionMetric(this.#scope, name, { statistic, period: this.#sweepInterval, label });
  }

  /** The sum of a metric that is written at any time. */
  count(name: ConnectionMetricName, label: string): IMetric {
    return createConnectionMetric(this.#scope, name, { statistic: Stats.SUM, label });
  }

  /** The value that this percentage of the values do not exceed. */
  readPercentile(name: ConnectionMetricName, percentile: number): IMetric {
    return createConnectionMetric(this.#scope, name, {
      statistic: Stats.percentile(percentile),
      label: `p${percentile}`,
    });
  }
}
