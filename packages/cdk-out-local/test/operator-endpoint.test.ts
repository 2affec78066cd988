import { CloudFormationClient, DescribeStacksCommand } from '@aws-sdk/client-cloudformation';
import { DescribeEventBusCommand, EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { GetAccountSettingsCommand, InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { GetScheduleCommand, SchedulerClient } from '@aws-sdk/client-scheduler';
import {
  DescribeSecretCommand,
  ListSecretsCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
  UpdateSecretVersionStageCommand,
} from '@aws-sdk/client-secrets-manager';
import { ListSubscriptionsByTopicCommand, ListTopicsCommand, SNSClient } from '@aws-sdk/client-sns';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Cloud, startCloud } from '../src/cloud.ts';
import { OperatorEndpoint } from '../src/operator-endpoint.ts';
import { createFakeCdkOut, createFunction, createRole } from './fake-cdk-out.ts';

let cloud: Cloud;
let endpoint: OperatorEndpoint;
let aws: ReturnType<typeof connect>;

const topicArn = 'arn:aws:sns:us-east-1:123456789012:alarms';
const subscription = (topic: unknown) => ({
  Type: 'AWS::SNS::Subscription',
  Properties: { Endpoint: 'ops@example.com', Protocol: 'email', TopicArn: topic },
});

beforeAll(async () => {
  const cdkOutDirectory = createFakeCdkOut(
    {
      Secret: { Type: 'AWS::SecretsManager::Secret', Properties: { Name: 'credentials' } },
      echoRole: createRole('lambda.amazonaws.com'),
      echo: createFunction('echo'),
      Topic: { Type: 'AWS::SNS::Topic', Properties: { TopicName: 'alarms' } },
      Subscription: subscription({ Ref: 'Topic' }),
      OtherSubscription: subscription('arn:aws:sns:us-east-1:123456789012:of-somebody-else'),
      Api: { Type: 'AWS::ApiGatewayV2::Api', Properties: { Name: 'api', ProtocolType: 'HTTP' } },
      Stage: {
        Type: 'AWS::ApiGatewayV2::Stage',
        Properties: { ApiId: { Ref: 'Api' }, AutoDeploy: true, StageName: '$default' },
      },
    },
    {
      echo: 'export const handler = async (event) => { if (event.fails) throw new Error("no"); return event; };',
    },
  );
  cloud = await startCloud({ cdkOutDirectory, environmentOverrides: {}, onLog: () => {} });
  endpoint = await OperatorEndpoint.start(cloud, 0);
  aws = connect(endpoint.url);
});

/** A client of each service, all of them with the one address. */
function connect(url: string) {
  const place = {
    endpoint: url,
    region: 'us-east-1',
    credentials: { accessKeyId: 'operator', secretAccessKey: 'operator' },
  };
  return {
    cloudFormation: new CloudFormationClient(place),
    eventBridge: new EventBridgeClient(place),
    lambda: new LambdaClient(place),
    scheduler: new SchedulerClient(place),
    secretsManager: new SecretsManagerClient(place),
    sns: new SNSClient(place),
  };
}

afterAll(async () => {
  endpoint.stop();
  await cloud.stop();
});

test('a function answers with what it returns, or with the error that it throws', async () => {
  const invoke = async (event: object) => {
    const { FunctionError, Payload } = await aws.lambda.send(
      new InvokeCommand({ FunctionName: 'echo', Payload: JSON.stringify(event) }),
    );
    return { FunctionError, payload: JSON.parse(Payload?.transformToString() ?? '') };
  };

  expect(await invoke({ a: 'ü' })).toEqual({ FunctionError: undefined, payload: { a: 'ü' } });
  expect(await invoke({ fails: true })).toMatchObject({
    FunctionError: 'Unhandled',
    payload: { errorType: 'Error', errorMessage: 'no' },
  });
});

test('the stack is described, by its name and among all', async () => {
  const described = { StackName: 'TestStack', StackStatus: 'CREATE_COMPLETE' };

  for (const input of [{ StackName: 'TestStack' }, {}]) {
    const { Stacks } = await aws.cloudFormation.send(new DescribeStacksCommand(input));
    expect(Stacks).toMatchObject([described]);
  }
});

test('the account runs as many invocations at once as it is made to', async () => {
  cloud.lambda.limitConcurrency(10);
  const { AccountLimit } = await aws.lambda.send(new GetAccountSettingsCommand({}));

  expect(AccountLimit).toEqual({ ConcurrentExecutions: 10 });
});

test('a topic has the subscriptions that the template gives it', async () => {
  const { Subscriptions } = await aws.sns.send(new ListSubscriptionsByTopicCommand({ TopicArn: topicArn }));

  expect(Subscriptions).toEqual([
    { SubscriptionArn: expect.stringMatching(/^arn:aws:sns:.*:alarms:.*Subscription/), TopicArn: topicArn },
  ]);
});

test('the default bus is there', async () => {
  const { Arn } = await aws.eventBridge.send(new DescribeEventBusCommand({ Name: 'default' }));

  expect(Arn).toBe('arn:aws:events:us-east-1:123456789012:event-bus/default');
});

test('a secret has versions, and can be put back to the one before', async () => {
  const { secretsManager } = aws;
  const put = (text: string) =>
    secretsManager.send(new PutSecretValueCommand({ SecretId: 'credentials', SecretString: text }));
  const stages = async () =>
    (await secretsManager.send(new DescribeSecretCommand({ SecretId: 'credentials' }))).VersionIdsToStages;
  const move = (from: string | undefined, to: string | undefined) =>
    secretsManager.send(
      new UpdateSecretVersionStageCommand({
        SecretId: 'credentials',
        VersionStage: 'AWSCURRENT',
        RemoveFromVersionId: from,
        MoveToVersionId: to,
      }),
    );
  const { VersionId: first = '' } = await put('one');
  const { VersionId: second = '' } = await put('two');
  expect(await stages()).toEqual({ [first]: ['AWSPREVIOUS'], [second]: ['AWSCURRENT'] });

  await move(second, first);
  expect(await stages()).toEqual({ [first]: ['AWSCURRENT'], [second]: ['AWSPREVIOUS'] });
  await expect(move(second, first)).rejects.toMatchObject({ name: 'InvalidParameterException' });
});

test('what is not there is refused as AWS refuses it', async () => {
  const notFound = { name: 'ResourceNotFoundException' };

  await expect(
    aws.cloudFormation.send(new DescribeStacksCommand({ StackName: 'Other' })),
  ).rejects.toMatchObject({ name: 'ValidationError', message: 'Stack with id Other does not exist' });
  await expect(aws.lambda.send(new InvokeCommand({ FunctionName: 'other' }))).rejects.toMatchObject(notFound);
  await expect(aws.scheduler.send(new GetScheduleCommand({ Name: 'other' }))).rejects.toMatchObject(notFound);
  await expect(
    aws.secretsManager.send(new PutSecretValueCommand({ SecretId: 'other', SecretString: 'hush' })),
  ).rejects.toMatchObject(notFound);
  await expect(
    aws.sns.send(new ListSubscriptionsByTopicCommand({ TopicArn: `${topicArn}-other` })),
  ).rejects.toMatchObject({ name: 'NotFoundException' });
  await expect(aws.eventBridge.send(new DescribeEventBusCommand({ Name: 'other' }))).rejects.toMatchObject(
    notFound,
  );
});

test('an operation that is not implemented says so, and a request that cannot be read harms nothing', async () => {
  await expect(aws.secretsManager.send(new ListSecretsCommand({}))).rejects.toThrow(
    'ListSecrets is not implemented on this machine',
  );
  await expect(aws.sns.send(new ListTopicsCommand({}))).rejects.toThrow(
    'ListTopics is not implemented on this machine',
  );
  const unreadable = await fetch(endpoint.url, {
    method: 'POST',
    headers: { 'x-amz-target': 'secretsmanager.PutSecretValue' },
    body: '{"SecretId"',
  });
  expect([unreadable.status, await unreadable.json()]).toMatchObject([
    400,
    { __type: 'SerializationException' },
  ]);
});
