import { describe, expect, test } from '@jest/globals';
import { findFunction, findOnly, findProperties } from './find-resources.ts';
import { requiredSettings } from './required-settings.ts';
import { synthesize } from './synthesize.ts';

const deadLetterQueueArn = { 'Fn::GetAtt': [expect.stringMatching(/^RefreshSweeperDeadLetterQueue/), 'Arn'] };
const sweeperArn = { 'Fn::GetAtt': [expect.stringMatching(/^RefreshSweeperSweeperFunction/), 'Arn'] };

describe('the sweeper', () => {
  test('knows where to read, how much to claim and which tokens are due', () => {
    const template = synthesize({
      sweepIntervalMinutes: 20,
      expectedSweepMinutes: 8,
      sweepBatchSize: 250,
      sweeperTimeoutSeconds: 600,
      sweeperMemoryMegabytes: 2048,
    });

    const { Environment, Timeout, MemorySize } = findFunction(template, 'RefreshSweeper');

    expect({ Timeout, MemorySize }).toEqual({ Timeout: 600, MemorySize: 2048 });
    expect(Environment.Variables).toEqual({
      NODE_OPTIONS: '--enable-source-maps',
      STACK_NAME: expect.stringMatching(/^SpotifyAuth-/),
      SUPABASE_URL: requiredSettings.supabaseUrl,
      SUPABASE_TOKEN_ISSUERS: JSON.stringify([`${requiredSettings.supabaseUrl}/auth/v1`]),
      SUPABASE_SECRET_ARN: { Ref: expect.stringMatching(/^CredentialsSupabase/) },
      SPOTIFY_SECRET_ARN: { Ref: expect.stringMatching(/^CredentialsSpotify/) },
      SPOTIFY_TOKEN_URL: 'https://accounts.spotify.com/api/token',
      RESCUE_QUEUE_URL: { Ref: expect.stringMatching(/^RescueQueue[0-9A-F]{8}$/) },
      RESCUE_KEY_ARN: { Ref: expect.stringMatching(/^RescueQueueKey/) },
      SWEEP_WINDOW_SECONDS: String((20 + 5 + 8) * 60),
      SWEEP_BATCH_SIZE: '250',
      SWEEP_CONNECTIONS_PER_INVOCATION: '100000',
      SWEEP_INTERVAL_SECONDS: '1200',
      SWEEPER_TIMEOUT_SECONDS: '600',
      SWEEP_QUEUE_URL: { Ref: expect.stringMatching(/^RefreshSweeperSweepQueue/) },
      EVENT_BUS: 'default',
    });
  });

  test('is told the ceiling on calls where there is one', () => {
    const template = synthesize({ spotifyCallsPerSecond: 500 });

    expect(findFunction(template, 'RefreshSweeper').Environment.Variables).toMatchObject({
      SPOTIFY_CALLS_PER_SECOND: '500',
    });
  });

  test('is woken by one message of its queue at a time, so many times at once, recursion detection left on', () => {
    const template = synthesize({ sweepMaxConcurrency: 7 });

    expect(findOnly(template, 'AWS::Lambda::EventSourceMapping')).toEqual({
      BatchSize: 1,
      EventSourceArn: { 'Fn::GetAtt': [expect.stringMatching(/^RefreshSweeperSweepQueue/), 'Arn'] },
      FunctionName: { Ref: sweeperArn['Fn::GetAtt'][0] },
      ScalingConfig: { MaximumConcurrency: 7 },
    });
    expect(findFunction(template, 'RefreshSweeper')).not.toHaveProperty('RecursiveLoop');
  });

  test('is woken five times at most by a message, each time after six times its timeout: throttles alone lose none', () => {
    const template = synthesize({ sweeperTimeoutSeconds: 600 });
    const queues = Object.entries(template.findResources('AWS::SQS::Queue'));
    const [, queue] = queues.find(([id]) => id.startsWith('RefreshSweeperSweepQueue')) ?? [];

    expect(queue?.['Properties']).toEqual({
      MessageRetentionPeriod: 24 * 60 * 60,
      RedrivePolicy: { deadLetterTargetArn: deadLetterQueueArn, maxReceiveCount: 5 },
      SqsManagedSseEnabled: true,
      VisibilityTimeout: 3600,
    });
  });

  test.each([
    [{}, 3],
    [{ sweepMaxConcurrency: 7 }, 8],
    // The schedule starts it while two earlier ones may still run.
    [{ sweepIntervalMinutes: 5, sweeperTimeoutSeconds: 900 }, 5],
  ])('runs so many times at once and no more, which is put out: %j', (settings, most) => {
    expect(synthesize(settings).findOutputs('SweepsAtOnce')['SweepsAtOnce']?.['Value']).toBe(String(most));
  });

  test('is started by the schedule, told for when, and tried again until half the interval is over', () => {
    const template = synthesize({ sweepIntervalMinutes: 20 });

    expect(findOnly(template, 'AWS::Scheduler::Schedule')).toEqual({
      Description: 'Starts a sweep.',
      ScheduleExpression: 'rate(20 minutes)',
      ScheduleExpressionTimezone: 'Etc/UTC',
      FlexibleTimeWindow: { Mode: 'OFF' },
      State: 'ENABLED',
      Target: {
        Arn: sweeperArn,
        Input: '{"command":"sweep","scheduledAt":"<aws.scheduler.scheduled-time>"}',
        RetryPolicy: { MaximumRetryAttempts: 3, MaximumEventAgeInSeconds: 600 },
        DeadLetterConfig: { Arn: deadLetterQueueArn },
        RoleArn: { 'Fn::GetAtt': [expect.stringMatching(/^RefreshSweeperScheduleRole/), 'Arn'] },
      },
    });
  });

  test('sweeps every 30 minutes by default', () => {
    expect(findOnly(synthesize(), 'AWS::Scheduler::Schedule').ScheduleExpression).toBe('rate(30 minutes)');
  });

  test('that fails is invoked again for another half, and then leaves its event in the dead-letter queue', () => {
    const template = synthesize({ sweepIntervalMinutes: 20 });

    expect(findOnly(template, 'AWS::Lambda::EventInvokeConfig')).toEqual({
      FunctionName: { Ref: sweeperArn['Fn::GetAtt'][0] },
      Qualifier: '$LATEST',
      MaximumRetryAttempts: 2,
      MaximumEventAgeInSeconds: 600,
      DestinationConfig: { OnFailure: { Destination: deadLetterQueueArn } },
    });
  });
});

describe('the schedule', () => {
  test('has a role that only the schedules of this account take on', () => {
    const roles = Object.entries(synthesize().findResources('AWS::IAM::Role'));
    const [, role] = roles.find(([id]) => id.startsWith('RefreshSweeperScheduleRole')) ?? [];

    expect(role?.['Properties'].AssumeRolePolicyDocument.Statement).toEqual([
      {
        Action: 'sts:AssumeRole',
        Effect: 'Allow',
        Principal: { Service: 'scheduler.amazonaws.com' },
        Condition: {
          StringEquals: {
            'aws:SourceAccount': { Ref: 'AWS::AccountId' },
            'aws:SourceArn': {
              'Fn::Join': ['', expect.arrayContaining([':scheduler:', ':schedule-group/default'])],
            },
          },
        },
      },
    ]);
  });
});

describe('the event bus', () => {
  const arnInThisAccount = (name: string) => [
    'arn:',
    { Ref: 'AWS::Partition' },
    ':events:',
    { Ref: 'AWS::Region' },
    ':',
    { Ref: 'AWS::AccountId' },
    `:event-bus/${name}`,
  ];
  const elsewhere = 'arn:aws:events:eu-west-1:210987654321:event-bus/bondhu';

  test.each([
    ['default', { 'Fn::Join': ['', arnInThisAccount('default')] }, 'events:PutEvents'],
    // Of another bus it has to find out whether it exists.
    [
      'bondhu',
      { 'Fn::Join': ['', arnInThisAccount('bondhu')] },
      ['events:DescribeEventBus', 'events:PutEvents'],
    ],
    [elsewhere, elsewhere, ['events:DescribeEventBus', 'events:PutEvents']],
  ])('%s is told to the sweeper, which may send to exactly that one', (eventBus, resource, actions) => {
    const template = synthesize({ eventBus });

    expect(findFunction(template, 'RefreshSweeper').Environment.Variables.EVENT_BUS).toBe(eventBus);
    expect(template.findOutputs('EventBusName')['EventBusName']?.['Value']).toBe(eventBus);
    const statements = findProperties(template, 'AWS::IAM::Policy').flatMap(
      ({ PolicyDocument }) => PolicyDocument.Statement,
    );
    expect(statements.filter(({ Action }) => String(Action).includes('events:'))).toEqual([
      { Action: actions, Effect: 'Allow', Resource: resource },
    ]);
  });
});
