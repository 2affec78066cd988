import { Stack } from 'aws-cdk-lib';
import { Metric, type MetricOptions } from 'aws-cdk-lib/aws-cloudwatch';
import type { Construct } from 'constructs';
import { METRIC_DIMENSION, METRIC_NAMESPACE, MetricNames } from '../lambda/metric-names.ts';

/** The name of a metric in this code; `MetricNames` has its name in CloudWatch. */
export type ConnectionMetricName = keyof typeof MetricNames;

/** A metric written by the functions of the scope's stack, for an alarm or a graph. */
export function createConnectionMetric(
  scope: Construct,
  name: ConnectionMetricName,
  options: MetricOptions,
): Metric {
  return new Metric({
    namespace: METRIC_NAMESPACE,
    metricName: MetricNames[name],
    dimensionsMap: { [METRIC_DIMENSION]: Stack.of(scope).stackName },
    ...options,
  });
}
