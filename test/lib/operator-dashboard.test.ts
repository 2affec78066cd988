import { describe, expect, test } from '@jest/globals';
import type { Template } from 'aws-cdk-lib/assertions';
import { MetricNames } from '../../lambda/metric-names.ts';
import { writeReferences } from './find-resources.ts';
import { synthesize } from './synthesize.ts';

const template = synthesize({ sweeperMemoryMegabytes: 2048 });
const { widgets } = readDashboard(template);

describe('the dashboard', () => {
  test('shows health first, then what it costs, and the runbook last', () => {
    const titles = widgets.map(({ properties: { title, markdown } }) => title ?? markdown?.split('\n')[0]);

    expect(titles).toEqual([
      'Alarms',
      expect.stringContaining('When an alarm goes off'),
      'State after the last sweep',
      'Connections',
      'Expired tokens at the end of a sweep',
      'Refreshes that failed',
      '## Throughput',
      'Sweeps',
      'Answers of the status call',
      'Events and rescued tokens',
      '## Latency',
      'API, ms',
      'Status function, ms',
      'Sweeps, ms',
      '## Errors',
      'API',
      'Functions',
      'Needs attention',
      "What is wrong in Bondhu's profiles",
      '## Cost',
      'Invocations and requests',
      'Functions, GB-seconds',
      'Logs, bytes',
      '# Runbook',
      '## Sweep failed',
      ...titles.slice(titles.indexOf('## Sweep failed') + 1),
    ]);
  });

  test('says at a glance how many are connected, due, expired and failing', () => {
    const { metrics } = findWidget('State after the last sweep');

    expect(metrics.map((metric) => metric.slice(1, 2))).toEqual(
      [
        'Connected',
        'SweepDue',
        'Expired',
        'SweepFailed',
        'ReauthorizationRequired',
        'ReauthorizationsDue',
      ].map((name) => [name]),
    );
  });

  test('shows the state of every alarm', () => {
    const alarms = Object.keys(template.findResources('AWS::CloudWatch::Alarm'));

    expect(findWidget('Alarms').alarms).toEqual(alarms.map((id) => `<${id}.Arn>`));
  });

  test('names the runbook elsewhere where one is configured', () => {
    const runbookUrl = 'https://wiki.example.com/runbook';
    const [, beside] = readDashboard(synthesize({ runbookUrl })).widgets;

    expect(beside?.properties.markdown).toContain(runbookUrl);
    expect(widgets[1]?.properties.markdown).not.toContain('http');
  });

  test('names the saved queries', () => {
    for (const { Properties } of Object.values(template.findResources('AWS::Logs::QueryDefinition'))) {
      expect(widgets[1]?.properties.markdown).toContain(Properties.Name);
    }
  });

  test.each([
    ['API, ms', 'Latency'],
    ['Status function, ms', 'StatusLatency'],
  ])('shows three percentiles of %s', (title, metricName) => {
    const { metrics } = findWidget(title);

    expect(metrics.map((metric) => [metric[1], getOptions(metric).stat])).toEqual(
      ['p50', 'p95', 'p99'].map((stat) => [metricName, stat]),
    );
  });

  test('counts gigabyte-seconds with the memory that each function has', () => {
    const expressions = findWidget('Functions, GB-seconds').metrics.map(
      (metric) => getOptions(metric).expression,
    );

    expect(expressions.filter((expression) => expression !== undefined)).toEqual([
      'statusMilliseconds / 1000 * 0.5',
      'sweeperMilliseconds / 1000 * 2',
    ]);
  });

  test('counts the bytes of each log group, and of no other', () => {
    const logGroups = findWidget('Logs, bytes').metrics.map((metric) => metric.slice(2, 4));

    expect(logGroups).toEqual(
      Object.keys(template.findResources('AWS::Logs::LogGroup'))
        .toSorted((one, other) => Number(one.includes('Access')) - Number(other.includes('Access')))
        .map((id) => ['LogGroupName', `<${id}>`]),
    );
  });

  test('draws every point of a sweep, however long the interval between two', () => {
    const { periodOverride, widgets } = readDashboard(synthesize({ sweepIntervalMinutes: 20 }));
    const [connections] = widgets.filter(({ properties }) => properties.title === 'Connections');

    expect(periodOverride).toBe('inherit');
    expect(connections?.properties.metrics?.map((metric) => getOptions(metric).period)).toEqual([
      1200, 1200, 1200,
    ]);
  });

  test('has a name that neither two stages nor two regions of one account share, and is found through the outputs', () => {
    const [dashboard] = Object.values(template.findResources('AWS::CloudWatch::Dashboard'));
    const url = template.findOutputs('DashboardUrl')['DashboardUrl']?.['Value'];

    expect(writeReferences(dashboard?.['Properties'].DashboardName)).toBe('SpotifyAuth-test-<AWS::Region>');
    expect(writeReferences(url)).toBe(
      'https://<AWS::Region>.<domain>/cloudwatch/home?region=<AWS::Region>#dashboards/dashboard/SpotifyAuth-test-<AWS::Region>',
    );
  });

  test('is in the console of each of the partitions of AWS', () => {
    const [domains] = Object.values(template.findMappings('*'));

    expect(domains).toEqual({
      aws: { domain: 'console.aws.amazon.com' },
      'aws-cn': { domain: 'console.amazonaws.cn' },
      'aws-us-gov': { domain: 'console.amazonaws-us-gov.com' },
    });
  });
});

describe('the metrics of the functions', () => {
  const shown = widgets
    .flatMap(({ properties }) => properties.metrics ?? [])
    .filter(([namespace]) => namespace === 'SpotifyAuth')
    .map((metric) => metric.slice(1, -1));
  const watched = Object.values(template.findResources('AWS::CloudWatch::Alarm'))
    .map((alarm) => alarm['Properties'])
    .filter(({ Namespace }) => Namespace === 'SpotifyAuth')
    .map(({ MetricName, Dimensions: [{ Name, Value }] }) => [MetricName, Name, Value]);

  test('are shown and watched under the names and the dimension that the functions write', () => {
    const names: string[] = Object.values(MetricNames);

    expect(shown.length + watched.length).toBeGreaterThan(20);
    for (const [name, ...dimension] of [...shown, ...watched]) {
      expect(names).toContain(name);
      expect(dimension).toEqual(['service', 'SpotifyAuth-test']);
    }
  });

  test('are all shown: none is written for nobody', () => {
    expect([...new Set(shown.map(([name]) => name))].toSorted()).toEqual(
      Object.values(MetricNames).toSorted(),
    );
  });
});

type DashboardMetric = readonly (string | MetricOptions)[];

interface MetricOptions {
  readonly stat?: string;
  readonly period?: number;
  readonly expression?: string;
}

interface Widget {
  readonly properties: {
    readonly title?: string;
    readonly markdown?: string;
    readonly alarms?: string[];
    readonly metrics?: DashboardMetric[];
  };
}

/** The dashboard, with `<logical id>` where the template refers to a resource. */
function readDashboard(of: Template): { readonly periodOverride: string; readonly widgets: Widget[] } {
  const [dashboard] = Object.values(of.findResources('AWS::CloudWatch::Dashboard'));
  return JSON.parse(writeReferences(dashboard?.['Properties'].DashboardBody));
}

function findWidget(wanted: string) {
  const properties = widgets.find(({ properties: { title } }) => title === wanted)?.properties;
  return { alarms: properties?.alarms ?? [], metrics: properties?.metrics ?? [] };
}

function getOptions(metric: DashboardMetric): MetricOptions {
  const last = metric.at(-1);
  return typeof last === 'object' ? last : {};
}
