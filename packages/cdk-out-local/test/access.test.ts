import { describe, expect, test } from '@jest/globals';
import { AccessControl } from '../src/access.ts';
import { loadTemplate } from '../src/template.ts';
import { createFakeCdkOut, createPolicyDocument, createRole, type FakeResources } from './fake-cdk-out.ts';

const queueArn = 'arn:aws:sqs:us-east-1:123456789012:work';

function decide(statements: readonly unknown[], { others = {} }: { others?: FakeResources } = {}) {
  const template = loadTemplate(
    createFakeCdkOut({
      Role: createRole('lambda.amazonaws.com', statements),
      Queue: { Type: 'AWS::SQS::Queue', Properties: { QueueName: 'work' } },
      ...others,
    }),
  );
  const [role] = template.resourcesOfType('AWS::IAM::Role');
  return new AccessControl(template).decide(role?.attributes.Arn ?? '', 'sqs:SendMessage', queueArn);
}

describe('a role', () => {
  test('may do nothing by itself', () => {
    expect(decide([])).toBe('implicitDeny');
  });

  test.each([
    [{ Action: 'sqs:SendMessage', Resource: queueArn }, 'allowed'],
    [{ Action: ['sqs:ReceiveMessage', 'sqs:Send*'], Resource: ['arn:aws:s3:::x', queueArn] }, 'allowed'],
    [{ Action: 'SQS:sendmessage', Resource: '*' }, 'allowed'],
    [{ Action: 'sqs:SendMessag?', Resource: `${queueArn.slice(0, -1)}?` }, 'allowed'],
    [{ Action: 'sqs:ReceiveMessage', Resource: queueArn }, 'implicitDeny'],
    [{ Action: 'sqs:SendMessage', Resource: `${queueArn}-other` }, 'implicitDeny'],
    [{ Action: 'sqs:SendMessage', Resource: queueArn.slice(0, -1) }, 'implicitDeny'],
  ])('with %j: %s', (statement, decision) => {
    expect(decide([{ Effect: 'Allow', ...statement }])).toBe(decision);
  });

  test('may not do what is denied, whatever else allows it', () => {
    const statements = [
      { Effect: 'Deny', Action: 'sqs:*', Resource: queueArn },
      { Effect: 'Allow', Action: '*', Resource: '*' },
    ];
    expect(decide(statements)).toBe('explicitDeny');
  });

  test('may do what a policy attached to it allows', () => {
    const policy = {
      Type: 'AWS::IAM::Policy',
      Properties: {
        PolicyName: 'attached',
        PolicyDocument: createPolicyDocument([{ Effect: 'Allow', Action: 'sqs:*', Resource: queueArn }]),
        Roles: [{ Ref: 'Role' }],
      },
    };
    expect(decide([], { others: { Policy: policy } })).toBe('allowed');
  });

  test('is not concerned by a denial of unencrypted transport', () => {
    const queuePolicy = {
      Type: 'AWS::SQS::QueuePolicy',
      Properties: {
        Queues: [{ Ref: 'Queue' }],
        PolicyDocument: createPolicyDocument([
          {
            Effect: 'Deny',
            Principal: { AWS: '*' },
            Action: 'sqs:*',
            Resource: queueArn,
            Condition: { Bool: { 'aws:SecureTransport': 'false' } },
          },
        ]),
      },
    };
    const allowing = [{ Effect: 'Allow', Action: 'sqs:SendMessage', Resource: queueArn }];
    expect(decide(allowing, { others: { QueuePolicy: queuePolicy } })).toBe('allowed');
  });
});

test('a role is assumed by the service that it trusts, and by no other', () => {
  const template = loadTemplate(createFakeCdkOut({ Role: createRole('lambda.amazonaws.com') }));
  const access = new AccessControl(template);
  const roleArn = template.resourcesOfType('AWS::IAM::Role')[0]?.attributes.Arn ?? '';

  expect(() => access.assertTrusts(roleArn, 'lambda.amazonaws.com')).not.toThrow();
  expect(() => access.assertTrusts(roleArn, 'scheduler.amazonaws.com')).toThrow(
    /^scheduler.amazonaws.com cannot assume/,
  );
});
