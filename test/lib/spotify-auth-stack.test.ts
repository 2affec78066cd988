import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, jest, test } from '@jest/globals';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import { findProperties, removeHashes, writeReferences } from './find-resources.ts';
import { listPermissions } from './list-permissions.ts';
import { createApp, createStack, synthesize } from './synthesize.ts';

const { scripts } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'));

describe('the stack', () => {
  test('puts out what an operator needs', () => {
    const outputs = Object.entries(synthesize().findOutputs('*'));

    expect(outputs.map(([name, { Value }]) => [name, removeHashes(JSON.stringify(Value))])).toEqual([
      ['ApiUrl', '{"Fn::GetAtt":["StatusApiHttpApi","ApiEndpoint"]}'],
      ['StatusFunctionName', '{"Ref":"StatusApiStatusFunction"}'],
      ['SweeperFunctionName', '{"Ref":"RefreshSweeperSweeperFunction"}'],
      ['SweepsAtOnce', '"3"'],
      ['SpotifySecretArn', '{"Ref":"CredentialsSpotify"}'],
      ['SupabaseSecretArn', '{"Ref":"CredentialsSupabase"}'],
      ['DeadLetterQueueUrl', '{"Ref":"RefreshSweeperDeadLetterQueue"}'],
      ['RescueDeadLetterQueueArn', '{"Fn::GetAtt":["RescueQueueDeadLetterQueue","Arn"]}'],
      ['ScheduleName', '{"Ref":"RefreshSweeperSchedule"}'],
      ['EventBusName', '"default"'],
      ['AlarmTopicArn', '{"Ref":"AlarmsTopic"}'],
      ['DashboardUrl', expect.stringContaining('#dashboards/dashboard/SpotifyAuth-test-')],
    ]);
    for (const [, { Description }] of outputs) expect(Description).toMatch(/\.$/);
  });

  test('of one stage lives beside that of another in the same account', () => {
    const app = createApp();
    const dev = createStack(app, 'dev');
    const prod = createStack(app, 'prod');

    expect([dev.stackName, prod.stackName]).toEqual(['SpotifyAuth-dev', 'SpotifyAuth-prod']);
    const devNames = listPhysicalNames(Template.fromStack(dev));
    const prodNames = listPhysicalNames(Template.fromStack(prod));
    // Log groups, API, dashboard, saved queries, alarms.
    expect(devNames).toHaveLength(3 + 1 + 1 + 5 + 15);
    expect(devNames.filter((name) => prodNames.includes(name))).toEqual([]);
  });

  test.each([
    ['supabaseUrl', 'https://your-project.supabase.co'],
    ['supabaseUrl', 'https://your-dev-project.supabase.co'],
    ['allowedOrigins', ['https://bondhu.example']],
    ['allowedOrigins', ['http://localhost:3000', 'https://app.example.com']],
  ])('warns of an example, which npm run deploy refuses: %s %j', (setting, value) => {
    jest.spyOn(console, 'error').mockImplementation(() => {});
    const stack = createStack(createApp(), 'prod', { [setting]: value });

    Annotations.fromStack(stack).hasWarning(
      '/SpotifyAuth-prod',
      `cdk.json, context.stages.prod.${setting} is still an example: write your own value there before you deploy [ack: spotify-auth:example-${setting}]`,
    );
    expect(scripts.deploy).toBe('cdk deploy --strict');
  });

  test('warns of nothing once it is configured', () => {
    const stack = createStack(createApp(), 'prod');

    expect(Annotations.fromStack(stack).findWarning('*', Match.anyValue())).toEqual([]);
  });
});

describe('the stack of a stage', () => {
  test.each([
    ['boundary', expect.stringMatching(/<AWS::Partition>:iam::<AWS::AccountId>:policy\/boundary$/)],
    [
      'arn:aws:iam::123456789012:policy/platform/boundary',
      'arn:aws:iam::123456789012:policy/platform/boundary',
    ],
  ])('bounds all of its roles by a policy: %s', (permissionsBoundary, arn) => {
    const roles = findProperties(synthesize({ permissionsBoundary }), 'AWS::IAM::Role');

    expect(roles.map(({ PermissionsBoundary }) => writeReferences(PermissionsBoundary))).toEqual([
      arn,
      arn,
      arn,
    ]);
  });

  test('is deployed through the bootstrap stack that it names, and through no other', () => {
    const app = createApp();
    const { stackName } = createStack(app, 'prod', { bootstrapQualifier: 'bondhuprod' });
    const { assumeRoleArn, bootstrapStackVersionSsmParameter } = app.synth().getStackByName(stackName);

    expect(assumeRoleArn).toContain(':role/cdk-bondhuprod-deploy-role-');
    expect(bootstrapStackVersionSsmParameter).toBe('/cdk-bootstrap/bondhuprod/version');
  });

  test('can be deleted, and has no tags, unless its stage says otherwise', () => {
    expect(readDeployment({})).toEqual({ terminationProtection: false, tags: {} });
  });

  test('is protected and tagged as configured: CloudFormation tags everything in it alike', () => {
    const settings = { terminationProtection: true, tags: { team: 'platform' } };

    expect(readDeployment(settings)).toEqual(settings);
  });
});

describe('the queues', () => {
  const template = synthesize();
  const queues = template.findResources('AWS::SQS::Queue');
  const ids = Object.keys(queues);

  test('are one for rescued tokens and one for wake-ups, and a dead-letter queue each', () => {
    expect(ids.map(removeHashes)).toEqual([
      'RescueQueueDeadLetterQueue',
      'RescueQueue',
      'RefreshSweeperDeadLetterQueue',
      'RefreshSweeperSweepQueue',
    ]);
  });

  test('are encrypted, and keep messages for operators for 14 days', () => {
    for (const [id, { Properties }] of Object.entries(queues)) {
      const days = id.startsWith('RefreshSweeperSweepQueue') ? 1 : 14;
      expect(Properties).toMatchObject({
        MessageRetentionPeriod: days * 24 * 60 * 60,
        SqsManagedSseEnabled: true,
      });
    }
  });

  test('refuse connections without TLS', () => {
    const policies = findProperties(template, 'AWS::SQS::QueuePolicy');

    expect(policies.map(({ Queues }) => Queues)).toEqual(ids.map((id) => [{ Ref: id }]));
    expect(policies.map(({ PolicyDocument }) => PolicyDocument.Statement)).toEqual(
      ids.map((id) => [
        {
          Effect: 'Deny',
          Principal: { AWS: '*' },
          Action: 'sqs:*',
          Resource: { 'Fn::GetAtt': [id, 'Arn'] },
          Condition: { Bool: { 'aws:SecureTransport': 'false' } },
        },
      ]),
    );
  });
});

describe('the roles', () => {
  const template = synthesize();

  test('may do this, and nothing else', () => {
    expect(listPermissions(template)).toEqual({
      StatusApiStatusFunctionRole: [
        'logs:CreateLogStream on StatusApiStatusFunctionLogs',
        'logs:PutLogEvents on StatusApiStatusFunctionLogs',
        'secretsmanager:DescribeSecret on CredentialsSpotify',
        'secretsmanager:DescribeSecret on CredentialsSupabase',
        'secretsmanager:DescribeSecret on RescueQueueKey',
        'secretsmanager:GetSecretValue on CredentialsSpotify',
        'secretsmanager:GetSecretValue on CredentialsSupabase',
        'secretsmanager:GetSecretValue on RescueQueueKey',
        'sqs:SendMessage on RescueQueue',
      ],
      RefreshSweeperSweeperFunctionRole: [
        'events:PutEvents on event-bus/default',
        'logs:CreateLogStream on RefreshSweeperSweeperFunctionLogs',
        'logs:PutLogEvents on RefreshSweeperSweeperFunctionLogs',
        'secretsmanager:DescribeSecret on CredentialsSpotify',
        'secretsmanager:DescribeSecret on CredentialsSupabase',
        'secretsmanager:DescribeSecret on RescueQueueKey',
        'secretsmanager:GetSecretValue on CredentialsSpotify',
        'secretsmanager:GetSecretValue on CredentialsSupabase',
        'secretsmanager:GetSecretValue on RescueQueueKey',
        'sqs:ChangeMessageVisibility on RefreshSweeperSweepQueue',
        'sqs:DeleteMessage on RefreshSweeperSweepQueue',
        'sqs:DeleteMessage on RescueQueue',
        'sqs:GetQueueAttributes on RefreshSweeperDeadLetterQueue',
        'sqs:GetQueueAttributes on RefreshSweeperSweepQueue',
        'sqs:GetQueueUrl on RefreshSweeperDeadLetterQueue',
        'sqs:GetQueueUrl on RefreshSweeperSweepQueue',
        'sqs:ReceiveMessage on RefreshSweeperSweepQueue',
        'sqs:ReceiveMessage on RescueQueue',
        'sqs:SendMessage on RefreshSweeperDeadLetterQueue',
        'sqs:SendMessage on RefreshSweeperSweepQueue',
        'sqs:SendMessage on RescueQueue',
      ],
      RefreshSweeperScheduleRole: [
        'lambda:InvokeFunction on RefreshSweeperSweeperFunction',
        'lambda:InvokeFunction on RefreshSweeperSweeperFunction:$LATEST',
        'sqs:SendMessage on RefreshSweeperDeadLetterQueue',
      ],
    });
  });

  test('have no permissions but those of their one policy', () => {
    template.resourceCountIs('AWS::IAM::ManagedPolicy', 0);
    for (const role of Object.values(template.findResources('AWS::IAM::Role'))) {
      expect(Object.keys(role['Properties'])).toEqual(['AssumeRolePolicyDocument']);
    }
  });
});

/** What CloudFormation is told about the stack itself. */
function readDeployment(settings: Record<string, unknown>) {
  const app = createApp();
  const { stackName } = createStack(app, 'prod', settings);
  const { terminationProtection, tags } = app.synth().getStackByName(stackName);
  return { terminationProtection, tags };
}

/** The names that the template fixes, which two stacks of one account must not share. */
function listPhysicalNames(template: Template): string[] {
  const nameKeys = [
    'Name',
    'LogGroupName',
    'FunctionName',
    'RoleName',
    'QueueName',
    'TopicName',
    'AlarmName',
    'DashboardName',
  ];
  return Object.values(
    template.toJSON()['Resources'] as Record<string, { Properties?: Record<string, unknown> }>,
  )
    .flatMap(({ Properties = {} }) => nameKeys.map((key) => Properties[key]))
    .filter((value) => typeof value === 'string' || 'Fn::Join' in Object(value))
    .map((value) => JSON.stringify(value));
}
