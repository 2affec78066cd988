import type { Properties } from '../resource-types.ts';
import { type AlarmState, decideState, evaluationRangeOf } from './alarm-state.ts';
import { evaluateExpression } from './metric-math.ts';
import type { MetricId, Metrics } from './metrics.ts';
import { computeStatistic } from './statistic.ts';

type AlarmProperties = Properties<'AWS::CloudWatch::Alarm'>;
type MetricQuery = NonNullable<AlarmProperties['Metrics']>[number];
type MetricStat = NonNullable<MetricQuery['MetricStat']>;

const MINUTE = 60_000;

const isBreaching: Readonly<
  Record<AlarmProperties['ComparisonOperator'], (value: number, threshold: number) => boolean>
> = {
  GreaterThanThreshold: (value, threshold) => value > threshold,
  GreaterThanOrEqualToThreshold: (value, threshold) => value >= threshold,
  LessThanThreshold: (value, threshold) => value < threshold,
  LessThanOrEqualToThreshold: (value, threshold) => value <= threshold,
};

/**
 * Evaluates an alarm of the template as CloudWatch does every minute, over periods that end with the last full minute.
 *
 * @param current the present state, which missing data may preserve
 * @param createdAt when the alarm was created, in milliseconds since the epoch
 * @throws if the template's alarm lacks a part that it needs
 * @see https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
 */
export function evaluateAlarm(
  alarm: AlarmProperties,
  metrics: Metrics,
  at: Date,
  current: AlarmState,
  createdAt: number,
): AlarmState {
  const queries = queriesOf(alarm);
  const periodInMillis = periodOf(queries) * 1_000;
  const end = Math.floor(at.getTime() / MINUTE) * MINUTE;
  const periods = evaluationRangeOf(alarm);
  const range = Array.from({ length: periods }, (_, index) => {
    const from = end - (periods - index) * periodInMillis;
    const value = datapointOf(queries, metrics, from, from + periodInMillis);
    return value === undefined ? undefined : isBreaching[alarm.ComparisonOperator](value, alarm.Threshold);
  });
  const measured = range.filter((value) => value !== undefined).length;
  return isWarmingUp(alarm, at.getTime() - createdAt, measured)
    ? 'INSUFFICIENT_DATA'
    : decideState(range, alarm, current);
}

/**
 * Whether the alarm is so new that missing data means nothing yet: until its warm-up is over, or it has all data points.
 *
 * @see https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-warm-up.html
 */
function isWarmingUp(
  { WarmUpConfiguration, EvaluationPeriods }: AlarmProperties,
  ageInMillis: number,
  measured: number,
): boolean {
  const { WarmUpPeriodDurationInMinutes = 0 } = WarmUpConfiguration ?? {};
  return ageInMillis < WarmUpPeriodDurationInMinutes * MINUTE && measured < EvaluationPeriods;
}

/** An alarm on one metric is an alarm with a single query. */
function queriesOf({
  Metrics,
  Namespace,
  MetricName,
  Dimensions,
  Period,
  Statistic,
  ExtendedStatistic,
}: AlarmProperties): readonly MetricQuery[] {
  if (Metrics !== undefined) return Metrics;
  const Stat = Statistic ?? ExtendedStatistic;
  if (Namespace === undefined || MetricName === undefined || Period === undefined || Stat === undefined) {
    throw new Error('an alarm must have Metrics, or a Namespace, MetricName, Period and a statistic');
  }
  return [
    {
      Id: 'metric',
      ReturnData: true,
      MetricStat: { Metric: { Namespace, MetricName, Dimensions }, Period, Stat },
    },
  ];
}

function periodOf(queries: readonly MetricQuery[]): number {
  const [period, ...others] = new Set(queries.flatMap(({ MetricStat }) => MetricStat?.Period ?? []));
  if (period === undefined || others.length > 0)
    throw new Error('the metrics of an alarm must have one period');
  return period;
}

function datapointOf(
  queries: readonly MetricQuery[],
  metrics: Metrics,
  from: number,
  before: number,
): number | undefined {
  const measured: Record<string, number | undefined> = {};
  for (const { Id, MetricStat } of queries) {
    if (MetricStat === undefined) continue;
    measured[Id] = computeStatistic(MetricStat.Stat, metrics.valuesOf(metricOf(MetricStat), from, before));
  }
  const watched = queries.find(({ ReturnData }) => ReturnData);
  if (watched?.Expression === undefined) return measured[watched?.Id ?? ''];
  return evaluateExpression(watched.Expression, measured);
}

function metricOf({ Metric }: MetricStat): MetricId {
  const { Namespace, MetricName, Dimensions } = Metric;
  const dimensions = Object.fromEntries(Dimensions.map(({ Name, Value }) => [Name, Value]));
  return { namespace: Namespace, name: MetricName, dimensions };
}
