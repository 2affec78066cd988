import { createHash } from 'node:crypto';
import * as v from 'valibot';
import { dashboardBody } from './cloudwatch/dashboard-body.ts';
import { ARITHMETIC } from './cloudwatch/metric-math.ts';
import { STATISTIC } from './cloudwatch/statistic.ts';
import type { ResourceIdentity } from './intrinsic-functions.ts';
import { policyDocument } from './policy-document.ts';

/** The account and region of the simulated deployment. */
interface Deployment {
  readonly region: string;
  readonly accountId: string;
}

export interface ResourceTypeDefinition {
  /** The implemented properties, and those without effect here; all others are rejected. */
  readonly properties: v.StrictObjectSchema<v.ObjectEntries, undefined>;
  /** The property with the resource's name; without it, CloudFormation generates a name. */
  readonly nameProperty?: string;
  /** @default - CloudFormation's usual `<stack>-<logical id>-<random>` */
  makeUpName?(logicalId: string): string;
  /** The values of `Ref` and `Fn::GetAtt` for a resource of that name. */
  identify(name: string, deployment: Deployment): ResourceIdentity;
  /** The differences from AWS that apply to every resource of the type. */
  readonly limits?: readonly string[];
}

/** A property that is accepted but has no effect on this machine, for the given reason. */
const withoutEffect = (reason: string) => v.pipe(v.optional(v.unknown()), v.description(reason));

const tags = withoutEffect('tags are not kept');
const queueArn = v.strictObject({ Arn: v.string() });
const destination = v.strictObject({ Destination: v.string() });
const actions = withoutEffect('alarms are printed, nothing is sent to their topic');
const dimensions = v.optional(v.array(v.strictObject({ Name: v.string(), Value: v.string() })), []);
const statistic = v.pipe(v.string(), v.regex(STATISTIC, 'must be a simple statistic or a percentile'));

/** Every resource type that this machine implements, property by property. */
export const resourceTypes = {
  'AWS::Lambda::Function': {
    properties: v.strictObject({
      Architectures: withoutEffect('functions run on the architecture of this machine'),
      Code: v.strictObject({ S3Bucket: withoutEffect('bundles are read from cdk.out'), S3Key: v.string() }),
      Description: withoutEffect('descriptions are not kept'),
      Environment: v.optional(v.strictObject({ Variables: v.record(v.string(), v.string()) })),
      FunctionName: v.optional(v.string()),
      Handler: v.string(),
      LoggingConfig: v.optional(
        v.strictObject({
          ApplicationLogLevel: v.optional(v.string()),
          LogFormat: v.optional(v.picklist(['JSON', 'Text']), 'Text'),
          LogGroup: v.optional(v.string()),
          SystemLogLevel: withoutEffect('the platform logs timeouts and exits only'),
        }),
      ),
      MemorySize: v.pipe(
        v.optional(v.number(), 128),
        v.description(
          'functions see the value, and Node.js gets the flags that Lambda derives from it, but their memory and CPU are not limited',
        ),
      ),
      Role: v.string(),
      Runtime: v.literal('nodejs24.x'),
      Tags: tags,
      Timeout: v.optional(v.number(), 3),
    }),
    nameProperty: 'FunctionName',
    identify: (name, { region, accountId }) => ({
      ref: name,
      attributes: { Arn: `arn:aws:lambda:${region}:${accountId}:function:${name}` },
    }),
    limits: [
      'a cold start is the start of a process, which is faster than on Lambda',
      'processes are not frozen between invocations',
      'payload size and disk are not limited',
      'a throttled invocation fails like one whose function throws, and is retried as often',
    ],
  },
  'AWS::Lambda::Permission': {
    properties: v.strictObject({
      Action: v.literal('lambda:InvokeFunction'),
      FunctionName: v.string(),
      Principal: v.string(),
      SourceArn: v.optional(v.string()),
    }),
    identify: (name) => ({ ref: name, attributes: {} }),
  },
  'AWS::Lambda::EventInvokeConfig': {
    properties: v.strictObject({
      DestinationConfig: v.optional(v.strictObject({ OnFailure: v.optional(destination) })),
      FunctionName: v.string(),
      MaximumEventAgeInSeconds: v.optional(v.number()),
      MaximumRetryAttempts: v.optional(v.number()),
      Qualifier: v.literal('$LATEST'),
    }),
    identify: (name) => ({ ref: name, attributes: {} }),
  },
  'AWS::Lambda::EventSourceMapping': {
    properties: v.strictObject({
      BatchSize: v.literal(1),
      EventSourceArn: v.string(),
      FunctionName: v.string(),
      ScalingConfig: v.strictObject({ MaximumConcurrency: v.number() }),
      Tags: tags,
    }),
    identify: (name) => ({ ref: name, attributes: {} }),
    limits: ['messages wait in the queue, without being received, while no invocation is free'],
  },
  'AWS::IAM::Role': {
    properties: v.strictObject({
      AssumeRolePolicyDocument: policyDocument,
      Description: withoutEffect('descriptions are not kept'),
      Policies: v.optional(
        v.array(v.strictObject({ PolicyName: v.string(), PolicyDocument: policyDocument })),
        [],
      ),
      RoleName: v.optional(v.string()),
      Tags: tags,
    }),
    nameProperty: 'RoleName',
    identify: (name, { accountId }) => ({
      ref: name,
      attributes: { Arn: `arn:aws:iam::${accountId}:role/${name}` },
    }),
    limits: ['grants are checked for Secrets Manager, SQS, EventBridge and Lambda, not for other services'],
  },
  'AWS::IAM::Policy': {
    properties: v.strictObject({
      PolicyDocument: policyDocument,
      PolicyName: v.string(),
      Roles: v.array(v.string()),
    }),
    identify: (name) => ({ ref: name, attributes: {} }),
  },
  'AWS::Logs::LogGroup': {
    properties: v.strictObject({
      LogGroupName: v.optional(v.string()),
      RetentionInDays: withoutEffect('log lines are printed, not kept'),
      Tags: tags,
    }),
    nameProperty: 'LogGroupName',
    identify: (name, { region, accountId }) => ({
      ref: name,
      attributes: { Arn: `arn:aws:logs:${region}:${accountId}:log-group:${name}:*` },
    }),
  },
  'AWS::SecretsManager::Secret': {
    properties: v.strictObject({
      Description: withoutEffect('descriptions are not kept'),
      GenerateSecretString: v.optional(
        v.strictObject({
          ExcludePunctuation: v.literal(true),
          GenerateStringKey: v.string(),
          PasswordLength: v.optional(v.number(), 32),
          SecretStringTemplate: v.string(),
        }),
      ),
      Name: v.optional(v.string()),
      Tags: tags,
    }),
    nameProperty: 'Name',
    makeUpName: (logicalId) => `${logicalId}-${shortHash(logicalId, 12)}`,
    identify: (name, { region, accountId }) => {
      const arn = `arn:aws:secretsmanager:${region}:${accountId}:secret:${name}-${shortHash(name, 6)}`;
      return { ref: arn, attributes: { Id: arn } };
    },
    limits: [
      'secrets are not encrypted, and keep two versions, the current and the previous one',
      'signatures are not verified: the access key id alone identifies the caller',
    ],
  },
  'AWS::ApiGatewayV2::Api': {
    properties: v.strictObject({
      CorsConfiguration: v.optional(
        v.strictObject({
          AllowHeaders: v.optional(v.array(v.string()), []),
          AllowMethods: v.optional(v.array(v.string()), []),
          AllowOrigins: v.optional(
            v.array(v.pipe(v.string(), v.regex(/^https?:\/\/[^*]+$/, 'must be one exact origin'))),
            [],
          ),
          ExposeHeaders: v.optional(v.array(v.string()), []),
          MaxAge: v.optional(v.number()),
        }),
      ),
      Description: withoutEffect('descriptions are not kept'),
      Name: v.string(),
      ProtocolType: v.literal('HTTP'),
      Tags: tags,
    }),
    identify: (name, { region }) => {
      const apiId = shortHash(name, 10);
      return {
        ref: apiId,
        attributes: { ApiId: apiId, ApiEndpoint: `https://${apiId}.execute-api.${region}.amazonaws.com` },
      };
    },
    limits: ['there is no TLS', 'the size of a request and the 30 s of an integration are not limited'],
  },
  'AWS::ApiGatewayV2::Stage': {
    properties: v.strictObject({
      AccessLogSettings: v.optional(v.strictObject({ DestinationArn: v.string(), Format: v.string() })),
      ApiId: v.string(),
      AutoDeploy: v.literal(true),
      DefaultRouteSettings: withoutEffect('requests are not throttled'),
      StageName: v.literal('$default'),
      Tags: tags,
    }),
    identify: () => ({ ref: '$default', attributes: {} }),
  },
  'AWS::ApiGatewayV2::Route': {
    properties: v.strictObject({
      ApiId: v.string(),
      AuthorizationType: v.optional(v.literal('NONE')),
      RouteKey: v.pipe(
        v.string(),
        v.regex(
          /^(GET|HEAD|POST|PUT|PATCH|DELETE) \/[^+]*$/,
          'must be one method and a path without greedy variables',
        ),
      ),
      Target: v.string(),
    }),
    identify: (name) => ({ ref: shortHash(name, 7), attributes: {} }),
  },
  'AWS::ApiGatewayV2::Integration': {
    properties: v.strictObject({
      ApiId: v.string(),
      IntegrationMethod: withoutEffect('a function is always invoked by POST'),
      IntegrationType: v.literal('AWS_PROXY'),
      IntegrationUri: v.string(),
      PayloadFormatVersion: v.literal('2.0'),
    }),
    identify: (name) => ({ ref: shortHash(name, 7), attributes: {} }),
  },
  'AWS::Scheduler::Schedule': {
    properties: v.strictObject({
      Description: withoutEffect('descriptions are not kept'),
      FlexibleTimeWindow: v.strictObject({ Mode: v.literal('OFF') }),
      Name: v.optional(v.string()),
      ScheduleExpression: v.string(),
      ScheduleExpressionTimezone: withoutEffect('a rate does not depend on a time zone'),
      State: v.optional(v.picklist(['ENABLED', 'DISABLED']), 'ENABLED'),
      Target: v.strictObject({
        Arn: v.string(),
        DeadLetterConfig: v.optional(queueArn),
        Input: v.optional(v.string(), '{}'),
        RetryPolicy: withoutEffect(
          'a delivery fails only if a permission is missing, and retries cannot fix that',
        ),
        RoleArn: v.string(),
      }),
    }),
    nameProperty: 'Name',
    identify: (name, { region, accountId }) => ({
      ref: name,
      attributes: { Arn: `arn:aws:scheduler:${region}:${accountId}:schedule/default/${name}` },
    }),
    limits: ['no scheduled event is delivered twice'],
  },
  'AWS::SQS::Queue': {
    properties: v.strictObject({
      KmsMasterKeyId: withoutEffect('messages are not encrypted'),
      MessageRetentionPeriod: withoutEffect('messages are kept until the machine stops'),
      QueueName: v.optional(v.string()),
      RedrivePolicy: v.optional(
        v.strictObject({ deadLetterTargetArn: v.string(), maxReceiveCount: v.number() }),
      ),
      SqsManagedSseEnabled: withoutEffect('messages are not encrypted'),
      Tags: tags,
      VisibilityTimeout: v.optional(v.number(), 30),
    }),
    nameProperty: 'QueueName',
    identify: (name, { region, accountId }) => ({
      ref: `https://sqs.${region}.amazonaws.com/${accountId}/${name}`,
      attributes: { Arn: `arn:aws:sqs:${region}:${accountId}:${name}`, QueueName: name },
    }),
    limits: ['no message is delivered twice, and receiving from an empty queue need not wait'],
  },
  'AWS::SQS::QueuePolicy': {
    properties: v.strictObject({ PolicyDocument: policyDocument, Queues: v.array(v.string()) }),
    identify: (name) => ({ ref: name, attributes: {} }),
  },
  'AWS::SNS::Topic': {
    properties: v.strictObject({
      DisplayName: withoutEffect('topics have no subscribers'),
      KmsMasterKeyId: withoutEffect('nothing is sent to a topic'),
      Tags: tags,
      TopicName: v.optional(v.string()),
    }),
    nameProperty: 'TopicName',
    identify: (name, { region, accountId }) => {
      const arn = `arn:aws:sns:${region}:${accountId}:${name}`;
      return { ref: arn, attributes: { TopicArn: arn, TopicName: name } };
    },
  },
  'AWS::SNS::TopicPolicy': {
    properties: v.strictObject({
      PolicyDocument: withoutEffect('nothing is sent to a topic'),
      Topics: v.array(v.string()),
    }),
    identify: (name) => ({ ref: name, attributes: {} }),
  },
  'AWS::SNS::Subscription': {
    properties: v.strictObject({
      Endpoint: withoutEffect('every subscription counts as confirmed, and receives nothing'),
      Protocol: v.literal('email'),
      TopicArn: v.string(),
    }),
    identify: (name) => ({ ref: name, attributes: {} }),
  },
  'AWS::CloudWatch::Alarm': {
    properties: v.strictObject({
      AlarmActions: actions,
      AlarmDescription: v.optional(v.string(), ''),
      AlarmName: v.optional(v.string()),
      ComparisonOperator: v.picklist([
        'GreaterThanThreshold',
        'GreaterThanOrEqualToThreshold',
        'LessThanThreshold',
        'LessThanOrEqualToThreshold',
      ]),
      DatapointsToAlarm: v.optional(v.number()),
      Dimensions: dimensions,
      EvaluationPeriods: v.number(),
      ExtendedStatistic: v.optional(statistic),
      MetricName: v.optional(v.string()),
      Metrics: v.optional(
        v.array(
          v.strictObject({
            Expression: v.optional(
              v.pipe(
                v.string(),
                v.regex(ARITHMETIC, 'must be arithmetic of metrics, with no function but FILL'),
              ),
            ),
            Id: v.string(),
            Label: withoutEffect('alarms have no graphs'),
            MetricStat: v.optional(
              v.strictObject({
                Metric: v.strictObject({
                  Dimensions: dimensions,
                  MetricName: v.string(),
                  Namespace: v.string(),
                }),
                Period: v.number(),
                Stat: statistic,
              }),
            ),
            ReturnData: v.optional(v.boolean(), true),
          }),
        ),
      ),
      Namespace: v.optional(v.string()),
      OKActions: actions,
      Period: v.optional(v.number()),
      Statistic: v.optional(statistic),
      Tags: tags,
      Threshold: v.number(),
      TreatMissingData: v.optional(v.picklist(['breaching', 'notBreaching', 'ignore', 'missing']), 'missing'),
      WarmUpConfiguration: v.optional(v.strictObject({ WarmUpPeriodDurationInMinutes: v.number() })),
    }),
    nameProperty: 'AlarmName',
    identify: (name, { region, accountId }) => ({
      ref: name,
      attributes: { Arn: `arn:aws:cloudwatch:${region}:${accountId}:alarm:${name}` },
    }),
    limits: ['alarms look back two periods more than they need; CloudWatch publishes no number'],
  },
  'AWS::CloudWatch::Dashboard': {
    properties: v.strictObject({
      DashboardBody: dashboardBody,
      DashboardName: v.optional(v.string()),
      Tags: tags,
    }),
    nameProperty: 'DashboardName',
    identify: (name) => ({ ref: name, attributes: {} }),
  },
  'AWS::Logs::QueryDefinition': {
    properties: v.strictObject({
      LogGroupNames: v.array(v.string()),
      Name: v.string(),
      QueryString: withoutEffect('log lines are printed, not kept'),
    }),
    identify: (name) => ({ ref: name, attributes: { QueryDefinitionId: name } }),
  },
} as const satisfies Record<string, ResourceTypeDefinition>;

export type ResourceType = keyof typeof resourceTypes;

/** A resource's properties as its type's schema parses them, with defaults. */
export type Properties<Type extends ResourceType> = v.InferOutput<(typeof resourceTypes)[Type]['properties']>;

/** The values of a resource's `Ref` and `Fn::GetAtt`, by attribute. */
export type Identity<Type extends ResourceType> = ReturnType<(typeof resourceTypes)[Type]['identify']>;

export function isResourceType(type: string): type is ResourceType {
  return Object.hasOwn(resourceTypes, type);
}

/** AWS generates random suffixes and ids; these are the same at every start. */
export function shortHash(name: string, length: number): string {
  return createHash('sha256').update(name).digest('hex').slice(0, length);
}
