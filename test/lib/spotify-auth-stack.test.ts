import { describe, expect, jest, test } from '@jest/globals';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import { createApp, createStack, requiredSettings, synthesize } from './synthesize.ts';

const deadLetterQueueArn = { 'Fn::GetAtt': [expect.stringMatching(/^RefreshSweeperDeadLetterQueue/), 'Arn'] };
const sweeperArn = { 'Fn::GetAtt': [expect.stringMatching(/^RefreshSweeperSweeperFunction/), 'Arn'] };
const rescueVariables = {
  RESCUE_QUEUE_URL: { Ref: expect.stringMatching(/^RescueQueue[0-9A-F]{8}$/) },
  RESCUE_KEY_ARN: { Ref: expect.stringMatching(/^RescueQueueKey/) },
};

describe('the stack', () => {
  test('puts out what an operator needs', () => {
    const outputs = Object.entries(synthesize().findOutputs('*'));

    expect(outputs.map(([name, { Value }]) => [name, withoutHash(JSON.stringify(Value))])).toEqual([
      ['ApiUrl', '{"Fn::GetAtt":["StatusApiHttpApi","ApiEndpoint"]}'],
      ['StatusFunctionName', '{"Ref":"StatusApiStatusFunction"}'],
      ['SweeperFunctionName', '{"Ref":"RefreshSweeperSweeperFunction"}'],
      ['SpotifySecretName', expect.stringContaining('{"Ref":"CredentialsSpotify"}')],
      ['SupabaseSecretName', expect.stringContaining('{"Ref":"CredentialsSupabase"}')],
      ['DeadLetterQueueUrl', '{"Ref":"RefreshSweeperDeadLetterQueue"}'],
      ['RescueDeadLetterQueueArn', '{"Fn::GetAtt":["RescueQueueDeadLetterQueue","Arn"]}'],
      ['ScheduleName', '{"Ref":"RefreshSweeperSchedule"}'],
      ['EventBusName', '"default"'],
      ['AlarmTopicArn', '{"Ref":"AlarmsTopic"}'],
      ['DashboardUrl', expect.stringContaining('#dashboards/dashboard/SpotifyAuth-test')],
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
    expect(devNames).toHaveLength(3 + 1 + 1 + 5 + 13);
    expect(devNames.filter((name) => prodNames.includes(name))).toEqual([]);
  });

  test('warns whoever is about to deploy an example', () => {
    jest.spyOn(console, 'error').mockImplementation(() => {});
    const stack = createStack(createApp(), 'prod', { supabaseUrl: 'https://your-project.supabase.co' });

    Annotations.fromStack(stack).hasWarning(
      '/SpotifyAuth-prod',
      "before you deploy: cdk.json, context.stages.prod.supabaseUrl is still an example, write your project's address there [ack: spotify-auth:example-supabase-url]",
    );
  });

  test('warns of nothing once it is configured', () => {
    const stack = createStack(createApp(), 'prod');

    expect(Annotations.fromStack(stack).findWarning('*', Match.anyValue())).toEqual([]);
  });
});

describe('the stack of a stage', () => {
  test('can be deleted, and has no tags, unless its stage says otherwise', () => {
    expect(deploymentOf({})).toEqual({ terminationProtection: false, tags: {} });
  });

  test('is protected and tagged as configured: CloudFormation tags everything in it alike', () => {
    const settings = { terminationProtection: true, tags: { team: 'platform' } };

    expect(deploymentOf(settings)).toEqual(settings);
  });
});

describe('existing secrets', () => {
  const spotifySecretArn = 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:bondhu/spotify-AbCdEf';
  const supabaseSecretArn = 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:bondhu/supabase-UvWxYz';

  const template = synthesize({ spotifySecretArn, supabaseSecretArn });

  test('are read, by exactly their ARNs, and none is created beside them', () => {
    expect(Object.keys(template.findResources('AWS::SecretsManager::Secret')).map(withoutHash)).toEqual([
      'RescueQueueKey',
    ]);
    for (const capability of ['StatusApi', 'RefreshSweeper']) {
      expect(findFunction(template, capability).Environment.Variables).toMatchObject({
        SPOTIFY_SECRET_ARN: spotifySecretArn,
        SUPABASE_SECRET_ARN: supabaseSecretArn,
      });
    }
    for (const permissions of Object.values(listPermissions(template)).slice(0, 2)) {
      expect(permissions.filter((permission) => permission.includes('GetSecretValue'))).toEqual([
        `secretsmanager:GetSecretValue on "${spotifySecretArn}"`,
        `secretsmanager:GetSecretValue on "${supabaseSecretArn}"`,
        'secretsmanager:GetSecretValue on RescueQueueKey',
      ]);
    }
  });

  test('are named in the outputs', () => {
    const { SpotifySecretName, SupabaseSecretName } = template.findOutputs('*');

    expect(SpotifySecretName?.['Value']).toBe('bondhu/spotify');
    expect(SupabaseSecretName?.['Value']).toBe('bondhu/supabase');
  });

  test('can be one of the two: the other is created', () => {
    const withOne = synthesize({ supabaseSecretArn });

    expect(Object.keys(withOne.findResources('AWS::SecretsManager::Secret')).map(withoutHash)).toEqual([
      'CredentialsSpotify',
      'RescueQueueKey',
    ]);
  });
});

describe('the domain of the API', () => {
  const certificateArn =
    'arn:aws:acm:eu-west-1:123456789012:certificate/12345678-90ab-cdef-1234-567890abcdef';
  const template = synthesize({ domainName: 'spotify-auth.example.com', certificateArn });

  test('is served with its certificate, over TLS 1.2 and up', () => {
    expect(findOnly(template, 'AWS::ApiGatewayV2::DomainName')).toEqual({
      DomainName: 'spotify-auth.example.com',
      DomainNameConfigurations: [
        { CertificateArn: certificateArn, EndpointType: 'REGIONAL', SecurityPolicy: 'TLS_1_2' },
      ],
    });
  });

  test('leads to the API', () => {
    const [domainId] = Object.keys(template.findResources('AWS::ApiGatewayV2::DomainName'));
    const [apiId] = Object.keys(template.findResources('AWS::ApiGatewayV2::Api'));

    expect(findOnly(template, 'AWS::ApiGatewayV2::ApiMapping')).toEqual({
      ApiId: { Ref: apiId },
      DomainName: { Ref: domainId },
      Stage: '$default',
    });
  });

  test('is in the outputs, with the name that its DNS record has to point at', () => {
    const { ApiUrl, DomainTarget } = template.findOutputs('*');

    expect(ApiUrl?.['Value']).toBe('https://spotify-auth.example.com');
    expect(DomainTarget?.['Value']).toEqual({
      'Fn::GetAtt': [expect.stringMatching(/^StatusApiDomain/), 'RegionalDomainName'],
    });
  });

  test('is the one that AWS makes up where none is configured', () => {
    synthesize().resourceCountIs('AWS::ApiGatewayV2::DomainName', 0);
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

describe('the secrets', () => {
  const secrets = Object.values(synthesize().findResources('AWS::SecretsManager::Secret'));

  test('of an operator are created empty, so that a deployment never writes over their values', () => {
    expect(secrets.slice(0, 2).map(({ Properties }) => Properties)).toEqual([
      { Description: 'SpotifyAuth-test, Spotify app: {"client_id": "...", "client_secret": "..."}' },
      {
        Description:
          'SpotifyAuth-test, Supabase project: {"secret_key": "sb_secret_...", "jwt_secret": "only if user tokens are signed with HS256"}',
      },
    ]);
  });

  test('include the key of the rescue queue, generated: another word here would have it generated anew', () => {
    expect(secrets.slice(2).map(({ Properties }) => Properties)).toEqual([
      {
        Description: 'SpotifyAuth-test, key of the rescue queue: generated, do not change it',
        GenerateSecretString: {
          SecretStringTemplate: '{}',
          GenerateStringKey: 'key',
          PasswordLength: 64,
          ExcludePunctuation: true,
        },
      },
    ]);
  });

  test('outlive the stack', () => {
    for (const secret of secrets) {
      expect(secret).toMatchObject({ DeletionPolicy: 'Retain', UpdateReplacePolicy: 'Retain' });
    }
  });
});

describe('each function', () => {
  const template = synthesize({ logRetentionDays: 90 });
  const functions = findProperties(template, 'AWS::Lambda::Function');

  test('runs Node 24 on arm64, from an ESM bundle', () => {
    expect(functions).toHaveLength(2);
    for (const properties of functions) {
      expect(properties).toMatchObject({
        Runtime: 'nodejs24.x',
        Architectures: ['arm64'],
        Handler: 'index.handler',
      });
    }
  });

  test('logs JSON into a group of its own that keeps them as long as configured', () => {
    const groups = template.findResources('AWS::Logs::LogGroup');

    for (const [index, { LoggingConfig }] of functions.entries()) {
      expect(LoggingConfig).toEqual({
        ApplicationLogLevel: 'INFO',
        LogFormat: 'JSON',
        LogGroup: { Ref: expect.any(String) },
      });
      expect(groups[LoggingConfig.LogGroup.Ref]).toMatchObject({
        Properties: {
          LogGroupName: `/aws/lambda/SpotifyAuth-test-${['status', 'sweeper'][index]}`,
          RetentionInDays: 90,
        },
        DeletionPolicy: 'Delete',
      });
    }
  });

  test('takes no share of the concurrency from the rest of the account', () => {
    for (const properties of functions) expect(properties).not.toHaveProperty('ReservedConcurrentExecutions');
  });
});

describe('the status function', () => {
  test('knows where to read, how long it may take and when to refresh', () => {
    const template = synthesize({
      spotifyTokenUrl: 'https://accounts.example.com/token',
      statusRefreshMarginMinutes: 7,
      statusBudgetSeconds: 4,
      statusTimeoutSeconds: 6,
      statusMemoryMegabytes: 256,
    });

    const { Environment, Timeout, MemorySize } = findFunction(template, 'StatusApi');

    expect({ Timeout, MemorySize }).toEqual({ Timeout: 6, MemorySize: 256 });
    expect(Environment.Variables).toEqual({
      STACK_NAME: expect.stringMatching(/^SpotifyAuth-/),
      SUPABASE_URL: requiredSettings.supabaseUrl,
      SUPABASE_SECRET_ARN: { Ref: expect.stringMatching(/^CredentialsSupabase/) },
      SPOTIFY_SECRET_ARN: { Ref: expect.stringMatching(/^CredentialsSpotify/) },
      SPOTIFY_TOKEN_URL: 'https://accounts.example.com/token',
      ...rescueVariables,
      STATUS_REFRESH_MARGIN_SECONDS: '420',
      STATUS_BUDGET_SECONDS: '4',
    });
  });
});

describe('the HTTP API', () => {
  const template = synthesize({
    throttleRequestsPerSecond: 50,
    throttleBurstRequests: 75,
    logRetentionDays: 7,
  });

  test('has the three routes of the status call and no other', () => {
    const routes = findProperties(template, 'AWS::ApiGatewayV2::Route');
    const [integrationId] = Object.keys(template.findResources('AWS::ApiGatewayV2::Integration'));

    expect(routes.map(({ RouteKey }) => RouteKey)).toEqual([
      'GET /api/v1/agents/music/status/{user_id}',
      'GET /agents/music/status/{user_id}',
      'GET /music/status/{user_id}',
    ]);
    for (const { AuthorizationType, Target } of routes) {
      expect(AuthorizationType).toBe('NONE');
      expect(Target).toEqual({ 'Fn::Join': ['', ['integrations/', { Ref: integrationId }]] });
    }
  });

  test('hands every request to the status function, in payload format 2.0', () => {
    expect(findProperties(template, 'AWS::ApiGatewayV2::Integration')).toEqual([
      {
        ApiId: { Ref: expect.any(String) },
        IntegrationType: 'AWS_PROXY',
        IntegrationUri: {
          'Fn::GetAtt': [expect.stringMatching(/^StatusApiStatusFunction[0-9A-F]{8}$/), 'Arn'],
        },
        PayloadFormatVersion: '2.0',
      },
    ]);
  });

  test('may invoke the status function for its own routes only', () => {
    const permissions = findProperties(template, 'AWS::Lambda::Permission');

    expect(permissions.map(({ SourceArn }) => SourceArn['Fn::Join'][1].at(-1))).toEqual([
      '/*/*/api/v1/agents/music/status/{user_id}',
      '/*/*/agents/music/status/{user_id}',
      '/*/*/music/status/{user_id}',
    ]);
    for (const { Action, Principal } of permissions) {
      expect({ Action, Principal }).toEqual({
        Action: 'lambda:InvokeFunction',
        Principal: 'apigateway.amazonaws.com',
      });
    }
  });

  test('answers the pages of the configured origins, and lets them read what they need', () => {
    const api = findOnly(template, 'AWS::ApiGatewayV2::Api');

    expect(api.CorsConfiguration).toEqual({
      AllowOrigins: requiredSettings.allowedOrigins,
      AllowMethods: ['GET'],
      AllowHeaders: ['authorization'],
      ExposeHeaders: ['retry-after', 'apigw-requestid'],
      MaxAge: 3600,
    });
  });

  test('throttles as configured', () => {
    const stage = findOnly(template, 'AWS::ApiGatewayV2::Stage');

    expect(stage).toMatchObject({
      StageName: '$default',
      AutoDeploy: true,
      DefaultRouteSettings: { ThrottlingRateLimit: 50, ThrottlingBurstLimit: 75 },
    });
  });

  test('logs each request by its route, without the path or the caller', () => {
    const stage = findOnly(template, 'AWS::ApiGatewayV2::Stage');

    expect(JSON.parse(stage.AccessLogSettings.Format)).toEqual({
      requestId: '$context.requestId',
      requestTime: '$context.requestTime',
      routeKey: '$context.routeKey',
      status: '$context.status',
      responseLatency: '$context.responseLatency',
      integrationLatency: '$context.integrationLatency',
      integrationStatus: '$context.integrationStatus',
      integrationError: '$context.integrationErrorMessage',
      error: '$context.error.message',
    });
  });

  test('keeps its access log as long as configured', () => {
    const stage = findOnly(template, 'AWS::ApiGatewayV2::Stage');
    const [logGroupId] = stage.AccessLogSettings.DestinationArn['Fn::GetAtt'];

    expect(template.findResources('AWS::Logs::LogGroup')[logGroupId]).toMatchObject({
      Properties: { LogGroupName: '/aws/vendedlogs/SpotifyAuth-test-access', RetentionInDays: 7 },
    });
  });
});

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
      NODE_OPTIONS: '--enable-source-maps --max-semi-space-size=4',
      STACK_NAME: expect.stringMatching(/^SpotifyAuth-/),
      SUPABASE_URL: requiredSettings.supabaseUrl,
      SUPABASE_SECRET_ARN: { Ref: expect.stringMatching(/^CredentialsSupabase/) },
      SPOTIFY_SECRET_ARN: { Ref: expect.stringMatching(/^CredentialsSpotify/) },
      SPOTIFY_TOKEN_URL: 'https://accounts.spotify.com/api/token',
      ...rescueVariables,
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

  test('is woken twice at most by a message, the second time when it cannot run any more', () => {
    const template = synthesize({ sweeperTimeoutSeconds: 600 });
    const queues = Object.entries(template.findResources('AWS::SQS::Queue'));
    const [, queue] = queues.find(([id]) => id.startsWith('RefreshSweeperSweepQueue')) ?? [];

    expect(queue?.['Properties']).toEqual({
      MessageRetentionPeriod: 24 * 60 * 60,
      RedrivePolicy: { deadLetterTargetArn: deadLetterQueueArn, maxReceiveCount: 2 },
      SqsManagedSseEnabled: true,
      VisibilityTimeout: 660,
    });
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

describe('the queues', () => {
  const template = synthesize();
  const queues = template.findResources('AWS::SQS::Queue');
  const ids = Object.keys(queues);

  test('are one for rescued tokens and one for wake-ups, and a dead-letter queue each', () => {
    expect(ids.map(withoutHash)).toEqual([
      'RescueQueueDeadLetterQueue',
      'RescueQueue',
      'RefreshSweeperDeadLetterQueue',
      'RefreshSweeperSweepQueue',
    ]);
  });

  test('keep what is in them encrypted, and what somebody has to look at for 14 days', () => {
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

describe('the rescue queue', () => {
  const queues = Object.entries(synthesize().findResources('AWS::SQS::Queue'));
  const [deadLetterQueueId, deadLetterQueue] = queues[0] ?? [];
  const [, queue] = queues[1] ?? [];

  test('hides what is being stored for longer than that takes, and gives up what never can be', () => {
    expect(queue?.['Properties']).toMatchObject({
      VisibilityTimeout: 30,
      RedrivePolicy: {
        deadLetterTargetArn: { 'Fn::GetAtt': [deadLetterQueueId, 'Arn'] },
        maxReceiveCount: 10,
      },
    });
  });

  test('outlives the stack, its dead-letter queue too: they may hold the only living tokens', () => {
    for (const kept of [queue, deadLetterQueue]) {
      expect(kept).toMatchObject({ DeletionPolicy: 'Retain', UpdateReplacePolicy: 'Retain' });
    }
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

  test('of the schedule is taken on by the schedules of this account only', () => {
    const roles = Object.entries(template.findResources('AWS::IAM::Role'));
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

  test('have no permissions but those of their one policy', () => {
    template.resourceCountIs('AWS::IAM::ManagedPolicy', 0);
    for (const role of Object.values(template.findResources('AWS::IAM::Role'))) {
      expect(Object.keys(role['Properties'])).toEqual(['AssumeRolePolicyDocument']);
    }
  });
});

/** What each role may do, as sentences of action and resource. */
function listPermissions(template: Template): Record<string, string[]> {
  const permissions = Object.keys(template.findResources('AWS::IAM::Role')).map((roleId) => {
    const statements = Object.values(template.findResources('AWS::IAM::Policy'))
      .map((policy) => policy['Properties'])
      .filter(({ Roles }) => Roles.some((role: { Ref: string }) => role.Ref === roleId))
      .flatMap(({ PolicyDocument }) => PolicyDocument.Statement);
    const sentences = statements.flatMap(({ Effect, Action, Resource, ...conditions }) => {
      expect({ Effect, conditions }).toEqual({ Effect: 'Allow', conditions: {} });
      return [Action]
        .flat()
        .flatMap((action) => [Resource].flat().map((resource) => `${action} on ${name(resource)}`));
    });
    return [withoutHash(roleId), sentences.toSorted()];
  });
  return Object.fromEntries(permissions);
}

/** The logical id that a resource of a policy refers to, or the resource itself when it refers to none. */
function name(resource: Record<string, unknown> | string): string {
  const text = JSON.stringify(resource);
  const id = /^{"Ref":"(\w+)"}$/.exec(text)?.[1] ?? /^{"Fn::GetAtt":\["(\w+)","Arn"\]}$/.exec(text)?.[1];
  const latestOf = /^{"Fn::Join":\["",\[{"Fn::GetAtt":\["(\w+)","Arn"\]},":\$LATEST"\]\]}$/.exec(text)?.[1];
  if (latestOf !== undefined) return `${withoutHash(latestOf)}:$LATEST`;
  const bus = /^{"Fn::Join":\["",\[.*,":(event-bus\/\w+)"\]\]}$/.exec(text)?.[1];
  if (bus !== undefined) return bus;
  return id === undefined ? text : withoutHash(id);
}

/** What CloudFormation is told about the stack itself. */
function deploymentOf(settings: Record<string, unknown>) {
  const app = createApp();
  const { stackName } = createStack(app, 'prod', settings);
  const { terminationProtection, tags } = app.synth().getStackByName(stackName);
  return { terminationProtection, tags };
}

function withoutHash(text: string): string {
  return text.replace(/[0-9A-F]{8}\b/g, '');
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
    .filter((value) => typeof value === 'string');
}

function findFunction(template: Template, idPrefix: string) {
  const functions = Object.entries(template.findResources('AWS::Lambda::Function'));
  return functions.find(([id]) => id.startsWith(idPrefix))?.[1]['Properties'];
}

function findOnly(template: Template, type: string) {
  template.resourceCountIs(type, 1);
  return findProperties(template, type)[0];
}

function findProperties(template: Template, type: string) {
  return Object.values(template.findResources(type)).map((resource) => resource['Properties']);
}
