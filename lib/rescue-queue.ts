import { Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import type { IGrantable } from 'aws-cdk-lib/aws-iam';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { type IQueue, Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';

/** Longer than storing one batch of messages takes, shorter than Lambda waits before it repeats a failed sweep. */
const visibilityTimeout = Duration.seconds(30);

/**
 * The queue for rotated refresh tokens that the database does not take, and the key that the functions seal them
 * with. All of it outlives a stack that was once created: it may hold the only living tokens of some users.
 */
export class RescueQueue extends Construct {
  readonly queue: IQueue;

  /** Messages that could not be opened or stored: an operator moves them back once the reason is gone. */
  readonly deadLetterQueue: IQueue;

  /** `{"key": "..."}`. Not an operator's business. */
  readonly key: Secret;

  constructor(scope: Construct, id: string) {
    super(scope, id);

    const queueProps = {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      // As long as SQS allows. It counts from the first queue, so a message must be given up long before.
      retentionPeriod: Duration.days(14),
      removalPolicy: RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
    };
    this.deadLetterQueue = new Queue(this, 'DeadLetterQueue', queueProps);
    Validations.of(this.deadLetterQueue).acknowledge({
      id: 'Serverless-SQSRedrivePolicy',
      reason: 'It is a dead-letter queue, and an alarm watches it.',
    });
    this.queue = new Queue(this, 'Queue', {
      ...queueProps,
      visibilityTimeout,
      // Nothing is received while the database is down: so many receipts are so many sweeps that failed on this message.
      deadLetterQueue: { queue: this.deadLetterQueue, maxReceiveCount: 10 },
    });

    this.key = new Secret(this, 'Key', {
      description: `${Stack.of(this).stackName}, key of the rescue queue: generated, do not change it`,
      removalPolicy: RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
      // Never change these lines: CloudFormation would generate another key, and what waits could not be opened.
      generateSecretString: {
        secretStringTemplate: '{}',
        generateStringKey: 'key',
        passwordLength: 64,
        excludePunctuation: true,
      },
    });
    Validations.of(this.key).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason: 'With another key, what waits in the queue could not be opened any more.',
    });
  }

  /** May put messages in. */
  grantSend(grantee: IGrantable): void {
    this.queue.grant(grantee, 'sqs:SendMessage');
    this.key.grantRead(grantee);
  }

  /** May take messages out. */
  grantDrain(grantee: IGrantable): void {
    this.queue.grant(grantee, 'sqs:ReceiveMessage', 'sqs:DeleteMessage');
    this.key.grantRead(grantee);
  }
}
