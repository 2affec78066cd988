import { describe, expect, test } from '@jest/globals';
import { readEmbeddedMetrics } from '../../src/cloudwatch/embedded-metrics.ts';

const AT = 1_795_000_000_000;

function line(members: Record<string, unknown>, directive: Record<string, unknown> = {}): string {
  const directives = [
    { Namespace: 'App', Dimensions: [['service']], Metrics: [{ Name: 'Sent', Unit: 'Count' }], ...directive },
  ];
  return JSON.stringify({ _aws: { Timestamp: AT, CloudWatchMetrics: directives }, ...members });
}

function datapoint(value: number, dimensions: Record<string, string> = { service: 'stack' }) {
  return { namespace: 'App', name: 'Sent', dimensions, value, at: AT, unit: 'Count' };
}

describe('a line of the embedded metric format', () => {
  test('is read with its own time', () => {
    expect(readEmbeddedMetrics(line({ service: 'stack', Sent: 3 }))).toEqual([datapoint(3)]);
  });

  test('may hold several values of a metric', () => {
    expect(readEmbeddedMetrics(line({ service: 'stack', Sent: [3, 4] }))).toEqual([
      datapoint(3),
      datapoint(4),
    ]);
  });

  test('makes a metric of each set of dimensions', () => {
    const sets = { Dimensions: [[], ['service', 'stage']] };
    expect(readEmbeddedMetrics(line({ service: 'stack', stage: 'prod', Sent: 1 }, sets))).toEqual([
      datapoint(1, {}),
      datapoint(1, { service: 'stack', stage: 'prod' }),
    ]);
  });

  test.each([
    ['value', { service: 'stack' }],
    ['value that is a number', { service: 'stack', Sent: '3' }],
    ['dimension', { Sent: 3 }],
  ])('without a %s measures nothing', (_lack, members) => {
    expect(readEmbeddedMetrics(line(members))).toEqual([]);
  });
});

test.each(['START RequestId: 1', '{"level":"INFO","message":"finished"}', '{"_aws":{}}', 'null'])(
  'any other line measures nothing: %s',
  (other) => {
    expect(readEmbeddedMetrics(other)).toEqual([]);
  },
);
