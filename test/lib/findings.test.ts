import { describe, expect, test } from '@jest/globals';
import { Validations } from 'aws-cdk-lib';
import { Queue } from 'aws-cdk-lib/aws-sqs';
import { AwsSolutionsChecks, ServerlessChecks } from 'cdk-nag';
import { createApp, createStack } from './synthesize.ts';

const everySetting = {
  alarmEmail: 'platform@example.com',
  eventBus: 'bondhu',
  supabaseSecretArn: 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:supabase-AbCdEf',
  domainName: 'spotify-auth.example.com',
  certificateArn: 'arn:aws:acm:eu-west-1:123456789012:certificate/12345678-90ab-cdef-1234-567890abcdef',
  tags: { team: 'platform' },
  terminationProtection: true,
  spotifyCallsPerSecond: 100,
};

describe('held against the rules for good and for serverless solutions', () => {
  test.each([
    ['as it is by default', {}],
    ['with every option', everySetting],
    ['with what exists already', { alarmTopicArn: 'arn:aws:sns:eu-west-1:123456789012:alarms' }],
  ])('the stack leaves no finding open, %s', (_which, settings) => {
    const app = createApp();
    createStack(app, 'test', settings);

    expect(listFindings(app)).toEqual([]);
  });

  test('a queue without TLS and without a dead-letter queue is found', () => {
    const app = createApp();
    new Queue(createStack(app, 'test'), 'Queue');

    expect(listFindings(app)).toEqual(
      ['AwsSolutions-SQS3', 'AwsSolutions-SQS4', 'Serverless-SQSRedrivePolicy'].map((rule) => [
        rule,
        'SpotifyAuth-test/Queue/Resource',
      ]),
    );
  });

  test('no rule is acknowledged for the whole stack, and none without a reason', () => {
    const app = createApp();
    const stack = createStack(app, 'test', everySetting);
    const acknowledged = stack.node
      .findAll()
      .flatMap(({ node }) =>
        node.metadata
          .filter(({ type }) => type === Validations.ACKNOWLEDGED_RULES_METADATA_KEY)
          .map(({ data }) => ({ depth: node.path.split('/').length, data })),
      );

    expect(acknowledged.length).toBeGreaterThan(5);
    for (const { depth, data } of acknowledged) {
      expect(depth).toBeGreaterThanOrEqual(3);
      for (const reason of Object.values(data)) expect(reason).toMatch(/^[A-Z].{20,}\.$/);
    }
  });
});

function listFindings(app: ReturnType<typeof createApp>) {
  return [new AwsSolutionsChecks(app), new ServerlessChecks(app)].flatMap((pack) =>
    pack
      .validateScope(app)
      .violations.map(({ ruleName, violatingResources }) => [
        ruleName,
        ...violatingResources.map(({ constructPath }) => constructPath),
      ]),
  );
}
