import { expect, test } from '@jest/globals';
import { computeStatistic } from '../../src/cloudwatch/statistic.ts';

test.each([
  ['SampleCount', 4],
  ['Sum', 16],
  ['Average', 4],
  ['Minimum', 1],
  ['Maximum', 9],
  ['p0', 1],
  ['p50', 2],
  ['p75', 4],
  ['p99.9', 9],
])('%s of 9, 1, 4 and 2 is %d', (statistic, expected) => {
  expect(computeStatistic(statistic, [9, 1, 4, 2])).toBe(expected);
});

test.each(['Sum', 'Average', 'p95'])('%s of nothing is no data point', (statistic) => {
  expect(computeStatistic(statistic, [])).toBeUndefined();
});
