import { describe, expect, test } from '@jest/globals';
import type { Mappings } from '../src/intrinsic-functions.ts';
import { loadTemplate } from '../src/template.ts';
import { createFakeCdkOut, createFunction, createRole, type FakeResources } from './fake-cdk-out.ts';

function load(resources: FakeResources, mappings: Mappings = {}) {
  return loadTemplate(createFakeCdkOut(resources, {}, mappings));
}

describe('what is not implemented is refused, naming it', () => {
  test('a resource type', () => {
    expect(() => load({ Table: { Type: 'AWS::DynamoDB::Table' } })).toThrow(
      'Table: resource type AWS::DynamoDB::Table is not implemented on this machine',
    );
  });

  test('a property', () => {
    const resources = { Queue: { Type: 'AWS::SQS::Queue', Properties: { FifoQueue: true } } };
    expect(() => load(resources)).toThrow(
      'Queue (AWS::SQS::Queue): FifoQueue is not implemented on this machine',
    );
  });

  test('a property within a property', () => {
    const resources = {
      Api: {
        Type: 'AWS::ApiGatewayV2::Api',
        Properties: { Name: 'api', ProtocolType: 'HTTP', CorsConfiguration: { AllowCredentials: true } },
      },
    };
    expect(() => load(resources)).toThrow('CorsConfiguration.AllowCredentials is not implemented');
  });

  test('a value', () => {
    const resources = {
      Role: createRole('lambda.amazonaws.com'),
      Function: createFunction('', { Runtime: 'python3.14', Role: 'role' }),
    };
    expect(() => load(resources)).toThrow(/Function \(AWS::Lambda::Function\): Runtime: .*"python3.14"/);
  });

  test('an intrinsic function', () => {
    const resources = {
      Queue: { Type: 'AWS::SQS::Queue', Properties: { QueueName: { 'Fn::If': ['IsProd', 'a', 'b'] } } },
    };
    expect(() => load(resources)).toThrow('Queue (AWS::SQS::Queue).QueueName: Fn::If is not implemented');
  });

  test('a condition of a resource', () => {
    expect(() => load({ Queue: { Type: 'AWS::SQS::Queue', Condition: 'IsProd' } })).toThrow(
      'Queue (AWS::SQS::Queue): Condition is not implemented',
    );
  });

  test('a function in the metric math of an alarm', () => {
    const resources = {
      Alarm: {
        Type: 'AWS::CloudWatch::Alarm',
        Properties: {
          ComparisonOperator: 'GreaterThanThreshold',
          EvaluationPeriods: 1,
          Metrics: [{ Id: 'rate', Expression: 'RATE(errors)' }],
          Threshold: 1,
        },
      },
    };
    expect(() => load(resources)).toThrow(
      'Metrics.0.Expression: must be arithmetic of metrics, with no function but FILL',
    );
  });

  test.each([
    ['NotAction', { Effect: 'Allow', NotAction: 'iam:*', Action: 's3:*', Resource: '*' }],
    ['Condition.IpAddress', { Effect: 'Allow', Action: 's3:*', Condition: { IpAddress: {} } }],
  ])('%s of a policy', (element, statement) => {
    const resources = { Role: createRole('lambda.amazonaws.com', [statement]) };
    expect(() => load(resources)).toThrow(`Statement.0.${element} is not implemented`);
  });
});

test('the metadata of the CDK is passed over', () => {
  const template = load({ CDKMetadata: { Type: 'AWS::CDK::Metadata', Condition: 'CDKMetadataAvailable' } });
  expect(template.notSimulated).toEqual([]);
});

test('intrinsic functions are resolved', () => {
  const mappings = { Colours: { aws: { light: 'orange' } } };
  const template = load(
    {
      Target: { Type: 'AWS::SQS::Queue', Properties: { QueueName: 'target' } },
      Group: {
        Type: 'AWS::Logs::LogGroup',
        Properties: {
          LogGroupName: {
            'Fn::Join': [
              '|',
              [
                { Ref: 'Target' },
                { 'Fn::GetAtt': ['Target', 'Arn'] },
                { 'Fn::Sub': `\${AWS::AccountId}-\${Target.QueueName}-\${!Literal}` },
                { 'Fn::Sub': [`\${Region}`, { Region: { Ref: 'AWS::Region' } }] },
                { 'Fn::Select': [1, { 'Fn::Split': ['-', 'a-b-c'] }] },
                { 'Fn::FindInMap': ['Colours', { Ref: 'AWS::Partition' }, 'light'] },
              ],
            ],
          },
        },
      },
    },
    mappings,
  );
  expect(template.resourcesOfType('AWS::Logs::LogGroup')[0]?.name.split('|')).toEqual([
    'https://sqs.us-east-1.amazonaws.com/123456789012/target',
    'arn:aws:sqs:us-east-1:123456789012:target',
    `123456789012-target-\${Literal}`,
    'us-east-1',
    'b',
    'orange',
  ]);
});

test('what has no effect is listed once, with its reason and its places', () => {
  const template = load({
    One: { Type: 'AWS::SQS::Queue', Properties: { SqsManagedSseEnabled: true } },
    Two: { Type: 'AWS::SQS::Queue', Properties: { SqsManagedSseEnabled: true, KmsMasterKeyId: 'key' } },
  });
  expect(template.notSimulated).toEqual([
    'messages are not encrypted (SQS::Queue SqsManagedSseEnabled, SQS::Queue KmsMasterKeyId)',
    'no message is delivered twice, and receiving from an empty queue need not wait (SQS::Queue)',
  ]);
});
