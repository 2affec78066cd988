import { MetricUnit, Metrics as Powertools } from '@aws-lambda-powertools/metrics';
import type { Metric, Metrics } from '../connection/metrics.ts';
import { METRIC_NAMESPACE, MetricNames } from '../metric-names.ts';

/**
 * The functions' metrics: a line of the log per call, in CloudWatch's embedded metric format, through Powertools for
 * AWS Lambda.
 *
 * @see https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 */
export class PowertoolsMetrics implements Metrics {
  readonly #powertools: Powertools;

  /** @param stackName tells the metrics of several stages apart */
  constructor(stackName: string) {
    this.#powertools = new Powertools({
      namespace: METRIC_NAMESPACE,
      serviceName: stackName,
    });
  }

  add: Metrics['add'] = (measurements) => {
    for (const [metric, value] of Object.entries(measurements) as [Metric, number][]) {
      this.#powertools.addMetric(MetricNames[metric], getUnit(metric), value);
    }
    this.#powertools.publishStoredMetrics();
  };
}

function getUnit(metric: Metric) {
  if (metric.endsWith('Milliseconds')) {
    return MetricUnit.Milliseconds;
  }
  return metric.endsWith('Seconds') ? MetricUnit.Seconds : MetricUnit.Count;
}
