import { describe, expect, test } from '@jest/globals';
import { evaluateAlarm } from '../../src/cloudwatch/alarm.ts';
import { Metrics } from '../../src/cloudwatch/metrics.ts';
import { loadTemplate } from '../../src/template.ts';
import { createFakeCdkOut } from '../fake-cdk-out.ts';

const NOON = Date.UTC(2026, 10, 24, 12);
const MINUTE = 60_000;

const METRIC = { Namespace: 'App', MetricName: 'Failed', Period: 300, Statistic: 'Sum' };

/** An alarm over values of the metrics of `App`, by name: `[minutes before noon, value]`. */
function evaluate(
  rule: Record<string, unknown>,
  measured: Readonly<Record<string, readonly (readonly [number, number])[]>>,
  at: number = NOON,
  createdAt: number = 0,
) {
  const properties = {
    ComparisonOperator: 'GreaterThanOrEqualToThreshold',
    EvaluationPeriods: 1,
    Threshold: 1,
    TreatMissingData: 'notBreaching',
    ...rule,
  };
  const template = loadTemplate(
    createFakeCdkOut({ Alarm: { Type: 'AWS::CloudWatch::Alarm', Properties: properties } }),
  );
  const metrics = new Metrics();
  for (const [name, values] of Object.entries(measured)) {
    for (const [minutesAgo, value] of values) {
      metrics.put({ namespace: 'App', name, dimensions: {}, value, at: NOON - minutesAgo * MINUTE });
    }
  }
  const [alarm] = template.resourcesOfType('AWS::CloudWatch::Alarm');
  if (alarm === undefined) throw new Error('the template has no alarm');
  return evaluateAlarm(alarm.properties, metrics, new Date(at), 'OK', createdAt);
}

describe('the warm-up of an alarm', () => {
  const rule = {
    ...METRIC,
    EvaluationPeriods: 2,
    TreatMissingData: 'breaching',
    WarmUpConfiguration: { WarmUpPeriodDurationInMinutes: 10 },
  };

  test('keeps it from going off for want of data, until it is over', () => {
    expect(evaluate(rule, {}, NOON, NOON - 9 * MINUTE)).toBe('INSUFFICIENT_DATA');
    expect(evaluate(rule, {}, NOON, NOON - 10 * MINUTE)).toBe('ALARM');
  });

  test('ends early once it has all its data', () => {
    const measured = {
      Failed: [
        [1, 1],
        [6, 1],
      ] as const,
    };
    expect(evaluate(rule, measured, NOON, NOON)).toBe('ALARM');
  });
});

describe('the periods of an alarm', () => {
  test('end with the last full minute', () => {
    expect(evaluate(METRIC, { Failed: [[0, 1]] }, NOON + MINUTE - 1)).toBe('OK');
    expect(evaluate(METRIC, { Failed: [[0, 1]] }, NOON + MINUTE)).toBe('ALARM');
  });

  test('bring together what was measured within each', () => {
    const rule = { ...METRIC, Threshold: 3 };
    expect(
      evaluate(rule, {
        Failed: [
          [1, 1],
          [3, 1],
          [5, 1],
        ],
      }),
    ).toBe('ALARM');
    expect(
      evaluate(rule, {
        Failed: [
          [1, 1],
          [3, 1],
          [6, 1],
        ],
      }),
    ).toBe('OK');
  });

  test('reach further back than needed where the last ones are missing', () => {
    expect(evaluate(METRIC, { Failed: [[15, 1]] })).toBe('ALARM');
    expect(evaluate(METRIC, { Failed: [[16, 1]] })).toBe('OK');
  });
});

test.each([
  ['GreaterThanThreshold', [2]],
  ['GreaterThanOrEqualToThreshold', [1, 2]],
  ['LessThanThreshold', [0]],
  ['LessThanOrEqualToThreshold', [0, 1]],
])('%s 1 is breached by %j of 0, 1 and 2', (ComparisonOperator, expected) => {
  const breaching = [0, 1, 2].filter(
    (value) => evaluate({ ...METRIC, ComparisonOperator }, { Failed: [[1, value]] }) === 'ALARM',
  );
  expect(breaching).toEqual(expected);
});

test('the dimensions are part of the metric', () => {
  const rule = { ...METRIC, Dimensions: [{ Name: 'service', Value: 'x' }] };
  expect(evaluate(rule, { Failed: [[1, 1]] })).toBe('OK');
});

test('a percentile is one value of those measured', () => {
  const { Statistic: _, ...metric } = METRIC;
  const rule = { ...metric, ExtendedStatistic: 'p95', Threshold: 3_000 };
  const nineteenFast = Array.from({ length: 19 }, () => [1, 100] as const);
  expect(evaluate(rule, { Failed: [...nineteenFast, [1, 5_000]] })).toBe('OK');
  expect(evaluate(rule, { Failed: [...nineteenFast.slice(1), [1, 5_000], [1, 5_000]] })).toBe('ALARM');
});

describe('an alarm on metric math', () => {
  const query = (Id: string, MetricName: string) => ({
    Id,
    MetricStat: { Metric: { Namespace: 'App', MetricName }, Period: 300, Stat: 'Sum' },
    ReturnData: false,
  });
  const rule = {
    ComparisonOperator: 'GreaterThanThreshold',
    Metrics: [
      { Id: 'expr_1', Expression: '100 * errors / requests' },
      query('errors', 'Errors'),
      query('requests', 'Requests'),
    ],
    Threshold: 5,
  };

  test('works the expression out for each period', () => {
    expect(evaluate(rule, { Errors: [[1, 5]], Requests: [[2, 100]] })).toBe('OK');
    expect(evaluate(rule, { Errors: [[1, 6]], Requests: [[2, 100]] })).toBe('ALARM');
  });

  test('has no data point where an operand has none, or where it would divide by zero', () => {
    const breaching = { ...rule, TreatMissingData: 'breaching' };
    expect(evaluate(breaching, { Errors: [[1, 0]] })).toBe('ALARM');
    expect(evaluate(breaching, { Errors: [[1, 0]], Requests: [[1, 0]] })).toBe('ALARM');
    expect(evaluate(breaching, { Errors: [[1, 0]], Requests: [[1, 1]] })).toBe('OK');
  });
});

test.each([
  [
    'no metric',
    { Namespace: 'App' },
    'an alarm must have Metrics, or a Namespace, MetricName, Period and a statistic',
  ],
  ['no period', { Metrics: [{ Id: 'm', Expression: '1' }] }, 'the metrics of an alarm must have one period'],
])('an alarm with %s is refused', (_lack, rule, message) => {
  expect(() => evaluate(rule, {})).toThrow(message);
});
