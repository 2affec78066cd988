export type AlarmState = 'OK' | 'ALARM' | 'INSUFFICIENT_DATA';

/** The part of an alarm that says how many data points decide, in the template's own words. */
export interface AlarmRule {
  readonly EvaluationPeriods: number;
  /** @default - as many as `EvaluationPeriods` */
  readonly DatapointsToAlarm?: number | undefined;
  readonly TreatMissingData: 'breaching' | 'notBreaching' | 'ignore' | 'missing';
}

/**
 * How many periods CloudWatch looks back beyond those that it needs, in case some of them are missing. It publishes no
 * number; this is the one of its examples (five data points for three periods).
 */
const EXTRA_PERIODS = 2;

/** The data points that an alarm is decided on. */
export function evaluationRangeOf({ EvaluationPeriods }: Pick<AlarmRule, 'EvaluationPeriods'>): number {
  return EvaluationPeriods + EXTRA_PERIODS;
}

/**
 * Decides what state an alarm is in.
 *
 * @param range whether each data point of the evaluation range breaches, the oldest first; undefined where it is missing
 * @param current kept where missing data is ignored and decides
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
  // Nothing but too few breaching data points: enough once the oldest of them is as old as so many would be.
  return range.length - range.indexOf(true) >= DatapointsToAlarm ? 'ALARM' : 'OK';
}
