import { Duration, Names, Stack, Validations } from 'aws-cdk-lib';
import { EventBus, type IEventBus } from 'aws-cdk-lib/aws-events';
import { Grant, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { SqsDestination } from 'aws-cdk-lib/aws-lambda-destinations';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import type { NodejsFunction } from 'aws-cdk-lib/aws-lambda-nodejs';
import {
  ContextAttribute,
  Schedule,
  ScheduleExpression,
  ScheduleTargetInput,
} from 'aws-cdk-lib/aws-scheduler';
import { LambdaInvoke } from 'aws-cdk-lib/aws-scheduler-targets';
import { type IQueue, Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { EnvironmentVariables } from '../lambda/environment-variables.ts';
import { ConnectionFunction } from './connection-function.ts';
import type { Credentials } from './credentials.ts';
import type { RescueQueue } from './rescue-queue.ts';
import type { StageSettings } from './settings/stage-settings.ts';
import { sweepWindowMinutes } from './sweep-window.ts';

export interface RefreshSweeperProps
  extends Pick<
    StageSettings,
    | 'supabaseUrl'
    | 'tokenIssuers'
    | 'spotifyTokenUrl'
    | 'sweepIntervalMinutes'
    | 'expectedSweepMinutes'
    | 'sweepBatchSize'
    | 'sweepConnectionsPerInvocation'
    | 'sweepMaxConcurrency'
    | 'spotifyCallsPerSecond'
    | 'sweeperTimeoutSeconds'
    | 'sweeperMemoryMegabytes'
    | 'logLevel'
    | 'logRetentionDays'
    | 'eventBus'
  > {
  readonly credentials: Credentials;

  readonly rescueQueue: RescueQueue;
}

/** The function that refreshes every token before it expires, with its schedule, the queue that wakes helpers, and the dead-letter queue. */
export class RefreshSweeper extends Construct {
  readonly function: NodejsFunction;

  readonly schedule: Schedule;

  /** Bus for the events to other teams. */
  readonly eventBus: IEventBus;

  /** Wakes helpers if one invocation cannot do all the work of a sweep. Its messages carry no work. */
  readonly sweepQueue: IQueue;

  /** Invocations that may run at once, without manual ones: scheduled ones, of which two may overlap, and helpers. */
  readonly mostAtOnce: number;

  /** Sweeps that could not be delivered, and sweeps and wake-ups that failed after all retries. */
  readonly deadLetterQueue: IQueue;

  constructor(scope: Construct, id: string, props: RefreshSweeperProps) {
    super(scope, id);

    this.mostAtOnce =
      Math.ceil(props.sweeperTimeoutSeconds / (props.sweepIntervalMinutes * 60)) + props.sweepMaxConcurrency;

    this.deadLetterQueue = new Queue(this, 'DeadLetterQueue', {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      retentionPeriod: Duration.days(14),
    });
    Validations.of(this.deadLetterQueue).acknowledge({
      id: 'Serverless-SQSRedrivePolicy',
      reason: 'This is a dead-letter queue itself, and an alarm watches it.',
    });

    this.sweepQueue = new Queue(this, 'SweepQueue', {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      // Long enough for a message that fails every time to reach the dead-letter queue.
      retentionPeriod: Duration.days(1),
      // Both as AWS advises, so that throttling alone sends no message to the dead-letter queue:
      // https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
      visibilityTimeout: Duration.seconds(6 * props.sweeperTimeoutSeconds),
      deadLetterQueue: { queue: this.deadLetterQueue, maxReceiveCount: 5 },
    });

    this.eventBus = props.eventBus.startsWith('arn:')
      ? EventBus.fromEventBusArn(this, 'EventBus', props.eventBus)
      : EventBus.fromEventBusName(this, 'EventBus', props.eventBus);

    this.function = new ConnectionFunction(this, 'SweeperFunction', {
      ...props,
      capability: 'sweeper',
      description: 'Refreshes every Spotify token that would expire before the next sweep refreshes it.',
      timeoutSeconds: props.sweeperTimeoutSeconds,
      memoryMegabytes: props.sweeperMemoryMegabytes,
      environment: {
        // Readable stack traces for a sixth of a cold start, for which no user waits here.
        NODE_OPTIONS: '--enable-source-maps',
        [EnvironmentVariables.sweepWindowSeconds]: String(sweepWindowMinutes(props) * 60),
        [EnvironmentVariables.sweepBatchSize]: String(props.sweepBatchSize),
        [EnvironmentVariables.sweepIntervalSeconds]: String(props.sweepIntervalMinutes * 60),
        [EnvironmentVariables.sweeperTimeoutSeconds]: String(props.sweeperTimeoutSeconds),
        [EnvironmentVariables.sweepConnectionsPerInvocation]: String(props.sweepConnectionsPerInvocation),
        [EnvironmentVariables.sweepQueueUrl]: this.sweepQueue.queueUrl,
        [EnvironmentVariables.eventBus]: props.eventBus,
        ...(props.spotifyCallsPerSecond !== undefined && {
          [EnvironmentVariables.spotifyCallsPerSecond]: String(props.spotifyCallsPerSecond),
        }),
      },
    }).function;
    props.rescueQueue.grantDrain(this.function);
    this.sweepQueue.grant(this.function, 'sqs:SendMessage');
    this.eventBus.grantPutEventsTo(this.function);
    if (props.eventBus !== 'default') {
      // The function checks that the bus exists: EventBridge silently drops events for one that does not.
      Grant.addToPrincipal({
        grantee: this.function,
        actions: ['events:DescribeEventBus'],
        resourceArns: [this.eventBus.eventBusArn],
      });
    }
    this.function.addEventSource(
      new SqsEventSource(this.sweepQueue, {
        batchSize: 1,
        maxConcurrency: props.sweepMaxConcurrency,
      }),
    );
    Validations.of(
      this.function.node.findChild(`SqsEventSource:${Names.nodeUniqueId(this.sweepQueue.node)}`),
    ).acknowledge({
      id: 'Serverless-LambdaEventSourceMappingDestination',
      reason:
        'SQS event sources have no such destination: the redrive policy of the queue keeps failed messages.',
    });
    Validations.of(this.function).acknowledge({
      id: 'Serverless-LambdaDLQ',
      reason: 'The failure destination below keeps failed events, together with the error.',
    });

    // The Scheduler delivers within the first half of the interval, and Lambda retries within the second: no attempt
    // starts after the next sweep, which does the same work. The Scheduler only sees failed deliveries, because
    // it does not wait for the function: the function reports its own failures.
    const halfInterval = Duration.seconds(props.sweepIntervalMinutes * 30);
    this.function.configureAsyncInvoke({
      retryAttempts: 2,
      maxEventAge: halfInterval,
      onFailure: new SqsDestination(this.deadLetterQueue),
    });
    // CDK's default role could invoke every version of the function.
    const role = new Role(this, 'ScheduleRole', {
      assumedBy: new ServicePrincipal('scheduler.amazonaws.com', {
        conditions: {
          StringEquals: {
            'aws:SourceAccount': Stack.of(this).account,
            'aws:SourceArn': Stack.of(this).formatArn({
              service: 'scheduler',
              resource: 'schedule-group',
              resourceName: 'default',
            }),
          },
        },
      }),
    });
    this.function.grantInvokeLatestVersion(role);
    this.deadLetterQueue.grant(role, 'sqs:SendMessage');
    this.schedule = new Schedule(this, 'Schedule', {
      description: 'Starts a sweep.',
      schedule: ScheduleExpression.rate(Duration.minutes(props.sweepIntervalMinutes)),
      target: new LambdaInvoke(this.function, {
        role: role.withoutPolicyUpdates(),
        input: ScheduleTargetInput.fromObject({
          command: 'sweep',
          scheduledAt: ContextAttribute.scheduledTime,
        }),
        retryAttempts: 3,
        maxEventAge: halfInterval,
        deadLetterQueue: this.deadLetterQueue,
      }),
    });
  }
}
