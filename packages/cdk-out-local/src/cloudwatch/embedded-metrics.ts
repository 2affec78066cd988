import * as v from 'valibot';
import type { Datapoint } from './metrics.ts';

const metricDirective = v.object({
  Namespace: v.string(),
  Dimensions: v.array(v.array(v.string())),
  Metrics: v.array(v.object({ Name: v.string(), Unit: v.optional(v.string()) })),
});

const document = v.pipe(
  v.string(),
  v.parseJson(),
  v.looseObject({
    _aws: v.object({ Timestamp: v.number(), CloudWatchMetrics: v.array(metricDirective) }),
  }),
);

const metricValue = v.union([
  v.pipe(
    v.number(),
    v.transform((value) => [value]),
  ),
  v.array(v.number()),
]);

/**
 * The metrics in a log line of CloudWatch's embedded metric format.
 *
 * @returns nothing for other lines, and nothing for a metric or dimension whose value is not in the line
 * @see https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 */
export function readEmbeddedMetrics(line: string): Datapoint[] {
  const parsed = v.safeParse(document, line);
  if (!parsed.success) return [];
  const { _aws, ...members } = parsed.output;
  return _aws.CloudWatchMetrics.flatMap(({ Namespace, Dimensions, Metrics }) =>
    Dimensions.flatMap((names) => {
      const dimensions = v.safeParse(
        v.record(v.string(), v.string()),
        Object.fromEntries(names.map((name) => [name, members[name]])),
      );
      if (!dimensions.success) return [];
      return Metrics.flatMap(({ Name, Unit }) => {
        const values = v.safeParse(metricValue, members[Name]);
        if (!values.success) return [];
        return values.output.map((value) => ({
          namespace: Namespace,
          name: Name,
          dimensions: dimensions.output,
          value,
          at: _aws.Timestamp,
          unit: Unit,
        }));
      });
    }),
  );
}
