export type AlarmState = 'OK' | 'ALARM' | 'INSUFFICIENT_DATA';

/** The part of an alarm that defines how many data points decide, in the template's own words. */
export interface AlarmRule {
  readonly EvaluationPeriods: number;
  /** @default - as many as `EvaluationPeriods` */
  readonly DatapointsToAlarm?: number | undefined;
  readonly TreatMissingData: 'breaching' | 'notBreaching' | 'ignore' | 'missing';
}

/**
 * How many periods CloudWatch looks back beyond those that it needs, in case some are missing. It publishes no
 * number; this one comes from its examples (five data points for three periods).
 */
const EXTRA_PERIODS = 2;

/** The data points that decide an alarm's state. */
export function evaluationRangeOf({ EvaluationPeriods }: Pick<AlarmRule, 'EvaluationPeriods'>): number {
  return EvaluationPeriods + EXTRA_PERIODS;
}

/**
 * Decides the state of an alarm.
 *
 * @param range whether each data point of the evaluation range breaches, oldest first; undefined if it is missing
 * @param current the result if the alarm ignores missing data and the data points do not decide
 * @see https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
 */
export function decideState(
  range: readonly (boolean | undefined)[],
  { EvaluationPeriods, DatapointsToAlarm = EvaluationPeriods, TreatMissingData }: AlarmRule,
  current: AlarmState,
): AlarmState {
  const existing = range.filter((isBreaching) => isBreaching !== undefined).slice(-EvaluationPeriods);
  const missing = EvaluationPeriods - existing.length;
  const breaching = existing.filter(Boolean).length;
  const counted = breaching + (TreatMissingData === 'breaching' ? missing : 0);
  if (counted >= DatapointsToAlarm) return 'ALARM';
  if (existing.includes(false) || TreatMissingData === 'breaching' || TreatMissingData === 'notBreaching') {
    return 'OK';
  }
  if (TreatMissingData === 'ignore') return current;
  if (existing.length === 0) return 'INSUFFICIENT_DATA';
  // Only breaching data points, but too few: enough once the oldest is as old as the required number of periods.
  return range.length - range.indexOf(true) >= DatapointsToAlarm ? 'ALARM' : 'OK';
}
