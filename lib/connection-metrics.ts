import { Stack } from 'aws-cdk-lib';
import { Metric, type MetricOptions } from 'aws-cdk-lib/aws-cloudwatch';
import type { Construct } from 'constructs';
import { METRIC_DIMENSION, METRIC_NAMESPACE, MetricNames } from '../lambda/metric-names.ts';

/** A metric that the functions of the scope's stack write. */
export function connectionMetric(
  scope: Construct,
  name: keyof typeof MetricNames,
  options: MetricOptions,
): Metric {
  return new Metric({
    namespace: METRIC_NAMESPACE,
    metricName: MetricNames[name],
    dimensionsMap: { [METRIC_DIMENSION]: Stack.of(scope).stackName },
    ...options,
  });
}
