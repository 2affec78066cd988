import { Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import type { IGrantable } from 'aws-cdk-lib/aws-iam';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { type IQueue, Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';

/** Longer than storing a batch of messages takes, shorter than Lambda waits before it retries a failed sweep. */
const visibilityTimeout = Duration.seconds(30);

/**
 * The queue for rotated refresh tokens that the database cannot store, and the key that encrypts them. Both outlive the
 * stack once it has been created: they may hold the only valid tokens of some users.
 */
export class RescueQueue extends Construct {
  readonly queue: IQueue;

  /** Messages that could not be decrypted or stored. An operator moves them back once the cause is fixed. */
  readonly deadLetterQueue: IQueue;

  /** `{"key": "..."}`. Generated; operators never need it. */
  readonly key: Secret;

  constructor(scope: Construct, id: string) {
    super(scope, id);

    const queueProps = {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      // SQS's maximum. It counts from the first queue, so messages must leave that one long before.
      retentionPeriod: Duration.days(14),
      removalPolicy: RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
    };
    this.deadLetterQueue = new Queue(this, 'DeadLetterQueue', queueProps);
    Validations.of(this.deadLetterQueue).acknowledge({
      id: 'Serverless-SQSRedrivePolicy',
      reason: 'This is a dead-letter queue itself, and an alarm watches it.',
    });
    this.queue = new Queue(this, 'Queue', {
      ...queueProps,
      visibilityTimeout,
      // Sweeps receive nothing while the database is down, so each receipt is a sweep that failed on this message.
      deadLetterQueue: { queue: this.deadLetterQueue, maxReceiveCount: 10 },
    });

    this.key = new Secret(this, 'Key', {
      description: `${Stack.of(this).stackName}, key of the rescue queue: generated, do not change it`,
      removalPolicy: RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
      // Never change these lines: CloudFormation would generate another key, which cannot decrypt waiting messages.
      generateSecretString: {
        secretStringTemplate: '{}',
        generateStringKey: 'key',
        passwordLength: 64,
        excludePunctuation: true,
      },
    });
    Validations.of(this.key).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason: 'Another key could not decrypt the waiting messages.',
    });
  }

  /** Allows the function to send messages. */
  grantSend(grantee: IGrantable): void {
    this.queue.grant(grantee, 'sqs:SendMessage');
    this.key.grantRead(grantee);
  }

  /** Allows the function to receive messages. */
  grantDrain(grantee: IGrantable): void {
    this.queue.grant(grantee, 'sqs:ReceiveMessage', 'sqs:DeleteMessage');
    this.key.grantRead(grantee);
  }
}
