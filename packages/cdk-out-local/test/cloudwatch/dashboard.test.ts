import { describe, expect, test } from '@jest/globals';
import { CloudWatch } from '../../src/cloudwatch/cloud-watch.ts';
import { Queues } from '../../src/queue.ts';
import { loadTemplate } from '../../src/template.ts';
import { createFakeCdkOut, type FakeResources } from '../fake-cdk-out.ts';

const NOON = Date.UTC(2026, 10, 24, 12);
const MINUTE = 60_000;

const place = { x: 0, y: 0, width: 12, height: 6 };

/** A graph of metrics as a dashboard's body writes them. */
function graphOf(metrics: readonly unknown[], properties: Record<string, unknown> = {}) {
  return { type: 'metric', ...place, properties: { view: 'timeSeries', metrics, yAxis: {}, ...properties } };
}

/** What watches over a stack with one dashboard. */
function watch(widgets: readonly unknown[], body: Record<string, unknown> = {}, others: FakeResources = {}) {
  const template = loadTemplate(
    createFakeCdkOut({
      Dashboard: {
        Type: 'AWS::CloudWatch::Dashboard',
        Properties: {
          DashboardName: 'operations',
          DashboardBody: { 'Fn::Join': ['', [JSON.stringify({ start: '-PT1H', ...body, widgets })]] },
        },
      },
      ...others,
    }),
  );
  const cloudWatch = new CloudWatch(template, new Queues(template));
  const measure = (name: string, minutesAgo: number, value: number, unit?: string) =>
    cloudWatch.metrics.put({
      namespace: 'App',
      name,
      dimensions: { service: 'stack' },
      value,
      unit,
      at: NOON - minutesAgo * MINUTE,
    });
  const view = (seconds?: number) => cloudWatch.dashboards[0]?.view(new Date(NOON), seconds);
  return { cloudWatch, measure, view };
}

const metric = (name: string, options: Record<string, unknown> = {}) => [
  'App',
  name,
  'service',
  'stack',
  options,
];

describe('a graph', () => {
  test('has a point for each period in which something was measured, the one that has just begun included', () => {
    const { measure, view } = watch([
      graphOf([metric('Sent', { stat: 'Sum', label: 'sent', yAxis: 'right' })], {
        stacked: true,
        title: 'Mail',
      }),
    ]);
    measure('Sent', 12, 1, 'Count');
    measure('Sent', 11, 2, 'Count');
    measure('Sent', 0, 4, 'Count');

    expect(view()).toEqual({
      name: 'operations',
      from: NOON - 60 * MINUTE,
      until: NOON,
      widgets: [
        {
          ...place,
          type: 'metric',
          view: 'timeSeries',
          title: 'Mail',
          isStacked: true,
          series: [
            {
              label: 'sent',
              axis: 'right',
              unit: 'Count',
              points: [
                [NOON - 15 * MINUTE, 3],
                [NOON, 4],
              ],
            },
          ],
        },
      ],
    });
  });

  test('takes the name, the average and five minutes where the dashboard says nothing else', () => {
    const { measure, view } = watch([graphOf([['App', 'Sent', 'service', 'stack']])]);
    measure('Sent', 1, 1);
    measure('Sent', 2, 2);

    expect(view()?.widgets[0]).toMatchObject({
      series: [{ label: 'Sent', axis: 'left', unit: null, points: [[NOON - 5 * MINUTE, 1.5]] }],
    });
  });

  test('goes back as far as the dashboard says, or as somebody else does', () => {
    const { measure, view } = watch([graphOf([metric('Sent', { stat: 'Sum' })])]);
    measure('Sent', 90, 1);
    measure('Sent', 30, 2);

    expect(view()?.widgets).toMatchObject([{ series: [{ points: [[NOON - 30 * MINUTE, 2]] }] }]);
    expect(view(2 * 3_600)?.widgets).toMatchObject([
      {
        series: [
          {
            points: [
              [NOON - 90 * MINUTE, 1],
              [NOON - 30 * MINUTE, 2],
            ],
          },
        ],
      },
    ]);
  });

  test('works metric math out, from metrics that it need not show', () => {
    const { measure, view } = watch([
      graphOf([
        [{ expression: 'spent / 1000 * 2', label: 'seconds' }],
        metric('Spent', { id: 'spent', stat: 'Sum', visible: false }),
      ]),
    ]);
    measure('Spent', 5, 1_500, 'Milliseconds');

    expect(view()?.widgets).toMatchObject([
      { series: [{ label: 'seconds', unit: null, points: [[NOON - 5 * MINUTE, 3]] }] },
    ]);
  });
});

test('a widget of alarms has each with its state and what it says', () => {
  const alarm = {
    Type: 'AWS::CloudWatch::Alarm',
    Properties: {
      AlarmName: 'NothingSent',
      AlarmDescription: 'Nothing was sent.',
      ComparisonOperator: 'LessThanThreshold',
      EvaluationPeriods: 1,
      Namespace: 'App',
      MetricName: 'Sent',
      Period: 300,
      Statistic: 'Sum',
      Threshold: 1,
      TreatMissingData: 'breaching',
    },
  };
  const arn = 'arn:aws:cloudwatch:us-east-1:123456789012:alarm:NothingSent';
  const { cloudWatch, view } = watch(
    [{ type: 'alarm', ...place, properties: { title: 'Alarms', alarms: [arn] } }],
    {},
    { Alarm: alarm },
  );
  const seen = { name: 'NothingSent', description: 'Nothing was sent.' };

  expect(view()?.widgets).toMatchObject([{ alarms: [{ ...seen, state: 'INSUFFICIENT_DATA' }] }]);
  cloudWatch.evaluateAlarms(new Date());
  expect(view()?.widgets).toMatchObject([{ alarms: [{ ...seen, state: 'ALARM' }] }]);
});

test('text and queries of logs are there as the template has them', () => {
  const { view } = watch([
    { type: 'text', ...place, properties: { markdown: '# Hello', background: 'transparent' } },
    { type: 'log', ...place, properties: { title: 'Errors', query: 'fields @message' } },
  ]);
  expect(view()?.widgets).toEqual([
    { ...place, type: 'text', markdown: '# Hello' },
    { ...place, type: 'log', title: 'Errors', query: 'fields @message' },
  ]);
});

test.each([
  ['a widget', [{ type: 'explorer', ...place, properties: {} }], 'explorer'],
  ['a property', [graphOf([], { sparkline: true })], 'sparkline is not implemented on this machine'],
  ['an expression', [graphOf([[{ expression: 'SUM(METRICS())' }]])], 'must be arithmetic of metrics'],
])('%s that is not drawn is refused at the start', (_what, widgets, message) => {
  expect(() => watch(widgets)).toThrow(message);
});

describe('what CloudWatch measures by itself', () => {
  const queue = { Type: 'AWS::SQS::Queue', Properties: { QueueName: 'work' } };

  test('counts the messages that were sent to a queue since the last minute', () => {
    const template = loadTemplate(createFakeCdkOut({ Queue: queue }));
    const queues = new Queues(template);
    const cloudWatch = new CloudWatch(template, queues);
    const sent = () =>
      cloudWatch.metrics.valuesOf(
        { namespace: 'AWS/SQS', name: 'NumberOfMessagesSent', dimensions: { QueueName: 'work' } },
        0,
        Number.POSITIVE_INFINITY,
      );
    queues.get('Queue').send('one');
    queues.get('Queue').send('two');
    cloudWatch.evaluateAlarms(new Date());
    cloudWatch.evaluateAlarms(new Date());

    expect(sent()).toEqual([2, 0]);
  });

  test("counts the bytes of a log group's lines, and 26 more for each", () => {
    const template = loadTemplate(
      createFakeCdkOut({
        Api: { Type: 'AWS::ApiGatewayV2::Api', Properties: { Name: 'api', ProtocolType: 'HTTP' } },
        Stage: {
          Type: 'AWS::ApiGatewayV2::Stage',
          Properties: {
            AccessLogSettings: { DestinationArn: { 'Fn::GetAtt': ['Logs', 'Arn'] }, Format: '$context.path' },
            ApiId: { Ref: 'Api' },
            AutoDeploy: true,
            StageName: '$default',
          },
        },
        Logs: { Type: 'AWS::Logs::LogGroup', Properties: { LogGroupName: '/access' } },
      }),
    );
    const cloudWatch = new CloudWatch(template, new Queues(template));
    cloudWatch.measureLogLine('api', '/é');

    expect(
      cloudWatch.metrics.datapointsOf(
        { namespace: 'AWS/Logs', name: 'IncomingBytes', dimensions: { LogGroupName: '/access' } },
        0,
        Number.POSITIVE_INFINITY,
      ),
    ).toMatchObject([{ value: 29, unit: 'Bytes' }]);
  });
});
