import { describe, expect, test } from '@jest/globals';
import type { Template } from 'aws-cdk-lib/assertions';
import { listAlarms, removeHashes, writeReferences } from './find-resources.ts';
import { synthesize } from './synthesize.ts';

const template = synthesize();
const alarms = listAlarms(template);

describe('the alarms', () => {
  test('watch this, and go off when', () => {
    expect(alarms.map(([name, alarm]) => `${name}: ${describeRule(alarm)}`)).toEqual([
      'SweepFailed: Sum of AWS/Lambda AsyncEventsDropped >= 1, 1 of 1 x 300 s, notBreaching',
      'NoScheduledSweepFinished: Sum of SpotifyAuth ScheduledSweepFinished < 1, 9 of 9 x 300 s, breaching',
      'TokensExpired: Maximum of SpotifyAuth Expired >= 3, 1 of 1 x 300 s, ignore',
      'BreakerOpen: Maximum of SpotifyAuth BreakerOpen >= 1, 1 of 1 x 300 s, ignore',
      'NearlyAllGrantsRevoked: Maximum of SpotifyAuth NearlyAllRevoked >= 1, 1 of 1 x 300 s, ignore',
      'ClientRejected: Sum of SpotifyAuth ClientRejected >= 1, 1 of 1 x 300 s, notBreaching',
      'SupabaseKeyRejected: Sum of SpotifyAuth SupabaseKeyRejected >= 1, 1 of 1 x 300 s, notBreaching',
      'SweepsInDeadLetterQueue: Maximum of AWS/SQS ApproximateNumberOfMessagesVisible >= 1, 1 of 1 x 300 s, notBreaching',
      'RescuedTokensInDeadLetterQueue: Maximum of AWS/SQS ApproximateNumberOfMessagesVisible >= 1, 1 of 1 x 300 s, notBreaching',
      'ProfilesRefuseTokens: Sum of SpotifyAuth ProfilesRefused >= 1, 1 of 1 x 300 s, notBreaching',
      'ApiErrors: 100 * (errors - FILL(unknown, 0)) / requests > 5, 3 of 3 x 300 s, notBreaching',
      'StatusCallsThrottled: Sum of AWS/Lambda Throttles >= 1, 1 of 1 x 300 s, notBreaching',
      'SweepsThrottled: Sum of AWS/Lambda Throttles >= 1, 1 of 1 x 300 s, notBreaching',
      'ApiLatency: p95 of AWS/ApiGateway Latency > 3000, 3 of 3 x 300 s, notBreaching',
      'EventsNotSent: Sum of SpotifyAuth EventsNotSent >= 1, 2 of 2 x 1800 s, notBreaching',
    ]);
  });

  test('watch what belongs to this stack', () => {
    const watched = alarms.flatMap(([name, { Dimensions = [] }]) =>
      Dimensions.map(
        ({ Name, Value }: Dimension) => `${name}: ${Name} ${removeHashes(JSON.stringify(Value))}`,
      ),
    );
    const service = 'service "SpotifyAuth-test"';

    expect(watched).toEqual([
      'SweepFailed: FunctionName {"Ref":"RefreshSweeperSweeperFunction"}',
      `NoScheduledSweepFinished: ${service}`,
      `TokensExpired: ${service}`,
      `BreakerOpen: ${service}`,
      `NearlyAllGrantsRevoked: ${service}`,
      `ClientRejected: ${service}`,
      `SupabaseKeyRejected: ${service}`,
      'SweepsInDeadLetterQueue: QueueName {"Fn::GetAtt":["RefreshSweeperDeadLetterQueue","QueueName"]}',
      'RescuedTokensInDeadLetterQueue: QueueName {"Fn::GetAtt":["RescueQueueDeadLetterQueue","QueueName"]}',
      `ProfilesRefuseTokens: ${service}`,
      'StatusCallsThrottled: FunctionName {"Ref":"StatusApiStatusFunction"}',
      'SweepsThrottled: FunctionName {"Ref":"RefreshSweeperSweeperFunction"}',
      'ApiLatency: ApiId {"Ref":"StatusApiHttpApi"}',
      `EventsNotSent: ${service}`,
    ]);
  });

  test('tell the share of requests that failed from how many there were', () => {
    const { Metrics } = findAlarm(template, 'ApiErrors');
    const apiId = { Ref: expect.stringMatching(/^StatusApiHttpApi/) };
    const stat = (Id: string, metric: object) => ({
      Id,
      MetricStat: { Metric: metric, Period: 300, Stat: 'Sum' },
      ReturnData: false,
    });
    const ofApi = (MetricName: string) => ({
      Namespace: 'AWS/ApiGateway',
      MetricName,
      Dimensions: [{ Name: 'ApiId', Value: apiId }],
    });
    const keyUnknown = {
      Namespace: 'SpotifyAuth',
      MetricName: 'StatusKeyUnknown',
      Dimensions: [{ Name: 'service', Value: 'SpotifyAuth-test' }],
    };

    expect(Metrics.slice(1)).toEqual([
      stat('errors', ofApi('5xx')),
      stat('unknown', keyUnknown),
      stat('requests', ofApi('Count')),
    ]);
  });

  test.each([
    [{ sweepIntervalMinutes: 20, sweeperTimeoutSeconds: 600 }, 6, 30],
    [{ sweepIntervalMinutes: 20, sweeperTimeoutSeconds: 601 }, 7, 35],
    [{ sweepIntervalMinutes: 49, sweeperTimeoutSeconds: 900 }, 13, 65],
  ])('miss a sweep after the longest time between the ends of two: %j', (settings, periods, minutes) => {
    const alarm = findAlarm(synthesize(settings), 'NoScheduledSweepFinished');

    expect(alarm.EvaluationPeriods).toBe(periods);
    expect(writeReferences(alarm.AlarmDescription)).toContain(`has finished for ${minutes} minutes.`);
    expect(alarm.WarmUpConfiguration).toEqual({ WarmUpPeriodDurationInMinutes: minutes });
  });

  test('wait as long as two sweeps for events that the next sweep sends again', () => {
    expect(findAlarm(synthesize({ sweepIntervalMinutes: 20 }), 'EventsNotSent').Period).toBe(1200);
  });
});

describe('the topic', () => {
  test('takes messages from alarms of this stack only, over TLS', () => {
    const [topicId] = Object.keys(template.findResources('AWS::SNS::Topic'));
    const policies = Object.values(template.findResources('AWS::SNS::TopicPolicy'));

    expect(policies.map((policy) => policy['Properties'])).toEqual([
      {
        PolicyDocument: {
          Version: '2012-10-17',
          Statement: [
            {
              Sid: 'AllowPublishThroughSSLOnly',
              Effect: 'Deny',
              Principal: '*',
              Action: 'sns:Publish',
              Resource: { Ref: topicId },
              Condition: { Bool: { 'aws:SecureTransport': 'false' } },
            },
            {
              Sid: expect.any(String),
              Effect: 'Allow',
              Principal: { Service: 'cloudwatch.amazonaws.com' },
              Action: 'sns:Publish',
              Resource: { Ref: topicId },
              Condition: {
                ArnEquals: {
                  'aws:SourceArn': Object.keys(template.findResources('AWS::CloudWatch::Alarm')).map(
                    (id) => ({ 'Fn::GetAtt': [id, 'Arn'] }),
                  ),
                },
              },
            },
          ],
        },
        Topics: [{ Ref: topicId }],
      },
    ]);
  });

  test('has no subscription unless an address is configured', () => {
    template.resourceCountIs('AWS::SNS::Subscription', 0);
    synthesize({ alarmEmail: 'platform@example.com' }).hasResourceProperties('AWS::SNS::Subscription', {
      Protocol: 'email',
      Endpoint: 'platform@example.com',
    });
  });

  test('may be an existing one, whose policy is left to its owner', () => {
    const alarmTopicArn = 'arn:aws:sns:eu-west-1:123456789012:alarms';
    const withExisting = synthesize({ alarmTopicArn });

    withExisting.resourceCountIs('AWS::SNS::Topic', 0);
    withExisting.resourceCountIs('AWS::SNS::TopicPolicy', 0);
    expect(withExisting.findOutputs('AlarmTopicArn')['AlarmTopicArn']?.['Value']).toBe(alarmTopicArn);
    for (const [, { AlarmActions, OKActions }] of listAlarms(withExisting)) {
      expect([AlarmActions, OKActions]).toEqual([[alarmTopicArn], [alarmTopicArn]]);
    }
  });
});

interface Dimension {
  readonly Name: string;
  readonly Value: unknown;
}

function findAlarm(template: Template, name: string) {
  return listAlarms(template).find(([other]) => other === name)?.[1];
}

function describeRule(alarm: ReturnType<typeof findAlarm>): string {
  const comparisons: Record<string, string> = {
    GreaterThanThreshold: '>',
    GreaterThanOrEqualToThreshold: '>=',
    LessThanThreshold: '<',
  };
  const { Statistic, ExtendedStatistic, Namespace, MetricName, Metrics, EvaluationPeriods } = alarm;
  const watched =
    Metrics?.[0].Expression ?? `${Statistic ?? ExtendedStatistic} of ${Namespace} ${MetricName}`;
  const period = alarm.Period ?? Metrics[1].MetricStat.Period;
  return `${watched} ${comparisons[alarm.ComparisonOperator]} ${alarm.Threshold}, ${alarm.DatapointsToAlarm ?? EvaluationPeriods} of ${EvaluationPeriods} x ${period} s, ${alarm.TreatMissingData}`;
}
