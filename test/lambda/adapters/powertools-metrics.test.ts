import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { PowertoolsMetrics } from '../../../lambda/adapters/powertools-metrics.ts';
import { METRIC_DIMENSION, METRIC_NAMESPACE, MetricNames } from '../../../lambda/metric-names.ts';

let written: string[];
let metrics: PowertoolsMetrics;

beforeEach(() => {
  written = [];
  jest.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    written.push(String(chunk));
    return true;
  });
  metrics = new PowertoolsMetrics('SpotifyAuth-test');
});
afterEach(() => {
  jest.restoreAllMocks();
});

describe('measurements', () => {
  test('are one line in the embedded metric format, with one dimension', () => {
    metrics.add({ sweepRefreshed: 12, sweepDurationMilliseconds: 3_456 });

    expect(lines()).toEqual([
      {
        _aws: {
          Timestamp: expect.any(Number),
          CloudWatchMetrics: [
            {
              Namespace: METRIC_NAMESPACE,
              Dimensions: [[METRIC_DIMENSION]],
              Metrics: [
                { Name: 'SweepRefreshed', Unit: 'Count' },
                { Name: 'SweepDuration', Unit: 'Milliseconds' },
              ],
            },
          ],
        },
        [METRIC_DIMENSION]: 'SpotifyAuth-test',
        SweepRefreshed: 12,
        SweepDuration: 3_456,
      },
    ]);
  });

  test('are written at once, and not twice', () => {
    metrics.add({ rescueQueued: 1 });
    expect(lines()).toMatchObject([{ RescueQueued: 1 }]);
    metrics.add({ rescueStored: 1 });
    expect(lines()[1]).toMatchObject({ RescueStored: 1 });
    expect(lines()[1]).not.toHaveProperty('RescueQueued');
  });

  test.each([
    ['oldestOverdueSeconds', 'Seconds'],
    ['sweepDurationMilliseconds', 'Milliseconds'],
    ['statusLatencyMilliseconds', 'Milliseconds'],
    ['connected', 'Count'],
  ] as const)('%s is written in %s', (metric, unit) => {
    metrics.add({ [metric]: 90 });
    const [line] = lines() as [{ _aws: { CloudWatchMetrics: [{ Metrics: unknown }] } }];
    expect(line._aws.CloudWatchMetrics[0].Metrics).toEqual([{ Name: MetricNames[metric], Unit: unit }]);
  });

  test('have names of their own', () => {
    const names = Object.values(MetricNames);
    expect(new Set(names).size).toBe(names.length);
  });
});

function lines(): Record<string, unknown>[] {
  return written
    .join('')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}
