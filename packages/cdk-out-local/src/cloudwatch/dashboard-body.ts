import * as v from 'valibot';
import { ARITHMETIC } from './metric-math.ts';
import { STATISTIC } from './statistic.ts';

/** Of a metric that names no period. */
const DEFAULT_PERIOD_SECONDS = 300;

const place = { x: v.number(), y: v.number(), width: v.number(), height: v.number() };

const DURATION = /^-P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?$/;

/** How far back graphs go, such as `-P1D`; in seconds. */
const start = v.pipe(
  v.string(),
  v.regex(DURATION, 'must be a duration of days, hours and minutes, such as -P1D'),
  v.transform((text) => {
    const [, days = 0, hours = 0, minutes = 0] = DURATION.exec(text) ?? [];
    return Number(days) * 86_400 + Number(hours) * 3_600 + Number(minutes) * 60;
  }),
);

const metricOptions = v.strictObject({
  expression: v.optional(
    v.pipe(v.string(), v.regex(ARITHMETIC, 'must be arithmetic of metrics, with no function but FILL')),
  ),
  id: v.optional(v.string()),
  label: v.optional(v.string()),
  period: v.optional(v.number(), DEFAULT_PERIOD_SECONDS),
  stat: v.optional(
    v.pipe(v.string(), v.regex(STATISTIC, 'must be a simple statistic or a percentile')),
    'Average',
  ),
  visible: v.optional(v.boolean(), true),
  yAxis: v.optional(v.picklist(['left', 'right']), 'left'),
});

/** `[namespace, name, dimension, its value, ..., options]`, or the options alone of what is worked out. */
const metric = v.pipe(
  v.array(v.union([v.string(), metricOptions])),
  v.transform((row) => {
    const [namespace = '', name = '', ...dimensions] = row.filter((item) => typeof item === 'string');
    const options = row.find((item) => typeof item !== 'string') ?? v.parse(metricOptions, {});
    const pairs = dimensions.flatMap((dimension, index) =>
      index % 2 === 0 ? [[dimension, dimensions[index + 1] ?? '']] : [],
    );
    return { ...options, metric: { namespace, name, dimensions: Object.fromEntries(pairs) } };
  }),
);

/**
 * The body of a dashboard, as far as this machine draws it; all else is refused.
 *
 * @see https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
 */
export const dashboardBody = v.pipe(
  v.string(),
  v.parseJson(),
  v.strictObject({
    start: v.optional(start, '-PT3H'),
    // The other value would widen periods to fit the width of a screen.
    periodOverride: v.optional(v.literal('inherit')),
    widgets: v.array(
      v.variant('type', [
        v.strictObject({
          type: v.literal('text'),
          ...place,
          properties: v.strictObject({
            markdown: v.string(),
            background: v.optional(v.picklist(['solid', 'transparent'])),
          }),
        }),
        v.strictObject({
          type: v.literal('alarm'),
          ...place,
          properties: v.strictObject({ title: v.optional(v.string(), ''), alarms: v.array(v.string()) }),
        }),
        v.strictObject({
          type: v.literal('log'),
          ...place,
          properties: v.strictObject({
            title: v.optional(v.string(), ''),
            query: v.string(),
            region: v.optional(v.string()),
            view: v.optional(v.string()),
          }),
        }),
        v.strictObject({
          type: v.literal('metric'),
          ...place,
          properties: v.strictObject({
            title: v.optional(v.string(), ''),
            view: v.picklist(['timeSeries', 'singleValue']),
            region: v.optional(v.string()),
            stacked: v.optional(v.boolean(), false),
            metrics: v.array(metric),
            yAxis: v.optional(v.strictObject({})),
          }),
        }),
      ]),
    ),
  }),
);

export type DashboardBody = v.InferOutput<typeof dashboardBody>;

/** A metric of a widget, or what is worked out from others. */
export type DrawnMetric = v.InferOutput<typeof metric>;
