import { createHash, randomUUID } from 'node:crypto';
import type { Resource, StackTemplate } from './template.ts';

export interface QueueMessage {
  readonly messageId: string;
  readonly body: string;
  readonly md5OfBody: string;
  /** Milliseconds since the epoch. */
  readonly sentAt: number;
  /** Message attributes, all of them strings. */
  readonly attributes: Readonly<Record<string, string>>;
}

interface StoredMessage extends QueueMessage {
  receiveCount: number;
  /** Milliseconds since the epoch; 0: not received yet. */
  firstReceivedAt: number;
  /** The latest receipt handle; earlier ones are no longer valid. */
  receiptHandle: string | null;
  /** Milliseconds since the epoch. */
  visibleAt: number;
}

/** A received message: hidden from others until its visibility timeout has passed or it is deleted. */
export interface ReceivedMessage extends QueueMessage {
  readonly receiptHandle: string;
  readonly receiveCount: number;
  /** Milliseconds since the epoch. */
  readonly firstReceivedAt: number;
  /** When it becomes visible again, unless it is deleted; milliseconds since the epoch. */
  readonly visibleAt: number;
}

interface Redrive {
  readonly deadLetterQueue: Queue;
  readonly maxReceiveCount: number;
}

/** An SQS standard queue that happens to preserve the order. */
export class Queue {
  readonly logicalId: string;
  readonly name: string;
  readonly url: string;
  readonly arn: string;
  readonly #messages: StoredMessage[] = [];
  readonly #visibilityTimeoutSeconds: number;
  readonly #listeners: (() => void)[] = [];
  #redrive: Redrive | null = null;
  #sentCount = 0;

  /** @param visibilityTimeoutSeconds @default - the template's */
  constructor(
    { logicalId, name, ref, attributes, properties }: Resource<'AWS::SQS::Queue'>,
    visibilityTimeoutSeconds: number = properties.VisibilityTimeout,
  ) {
    this.logicalId = logicalId;
    this.name = name;
    this.url = ref;
    this.arn = attributes.Arn;
    this.#visibilityTimeoutSeconds = visibilityTimeoutSeconds;
  }

  /** All messages that have not been deleted, received or not. */
  get messages(): readonly QueueMessage[] {
    return this.#messages;
  }

  /** How many of them can be received now. */
  get visibleCount(): number {
    const now = Date.now();
    return this.#messages.filter(({ visibleAt }) => visibleAt <= now).length;
  }

  /** Number of messages that were sent to it, without those that were moved to it. */
  get sentCount(): number {
    return this.#sentCount;
  }

  /** Receives messages that were received too often. */
  redriveTo(deadLetterQueue: Queue, maxReceiveCount: number): void {
    this.#redrive = { deadLetterQueue, maxReceiveCount };
  }

  /** Calls back whenever messages may have become visible, except by the passing of time. */
  onVisible(listener: () => void): void {
    this.#listeners.push(listener);
  }

  send(body: string, attributes: Readonly<Record<string, string>> = {}): QueueMessage {
    const message = { messageId: randomUUID(), body, md5OfBody: md5(body), sentAt: Date.now(), attributes };
    this.#add(message);
    this.#sentCount += 1;
    return message;
  }

  receive(maxNumberOfMessages: number): ReceivedMessage[] {
    const now = Date.now();
    this.#giveUp(now);
    const received = this.#messages.filter(({ visibleAt }) => visibleAt <= now).slice(0, maxNumberOfMessages);
    return received.map((message) => {
      const receiptHandle = randomUUID();
      message.visibleAt = now + this.#visibilityTimeoutSeconds * 1_000;
      message.receiptHandle = receiptHandle;
      message.receiveCount += 1;
      message.firstReceivedAt ||= now;
      return { ...message, receiptHandle };
    });
  }

  /** Deletes the message of a receipt handle, unless it has been received again since. */
  delete(receiptHandle: string): void {
    const index = this.#messages.findIndex((message) => message.receiptHandle === receiptHandle);
    if (index >= 0) this.#messages.splice(index, 1);
  }

  /** Ends the visibility timeouts of all messages. */
  showAgain(): void {
    for (const message of this.#messages) message.visibleAt = 0;
    this.#tell();
  }

  #add({ messageId, body, md5OfBody, sentAt, attributes }: QueueMessage): void {
    this.#messages.push({
      messageId,
      body,
      md5OfBody,
      sentAt,
      attributes,
      receiveCount: 0,
      firstReceivedAt: 0,
      receiptHandle: null,
      visibleAt: 0,
    });
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  #giveUp(now: number): void {
    if (this.#redrive === null) return;
    const { deadLetterQueue, maxReceiveCount } = this.#redrive;
    const exhausted = this.#messages.filter(
      ({ visibleAt, receiveCount }) => visibleAt <= now && receiveCount >= maxReceiveCount,
    );
    for (const message of exhausted) {
      this.#messages.splice(this.#messages.indexOf(message), 1);
      deadLetterQueue.#add(message);
    }
  }
}

/** The template's queues. */
export class Queues {
  readonly all: readonly Queue[];

  /** @param visibilityTimeoutSeconds of every queue @default - the template's */
  constructor(template: StackTemplate, visibilityTimeoutSeconds?: number) {
    const resources = template.resourcesOfType('AWS::SQS::Queue');
    this.all = resources.map((resource) => new Queue(resource, visibilityTimeoutSeconds));
    for (const { attributes, properties } of resources) {
      if (properties.RedrivePolicy) {
        const { deadLetterTargetArn, maxReceiveCount } = properties.RedrivePolicy;
        this.get(attributes.Arn).redriveTo(this.get(deadLetterTargetArn), maxReceiveCount);
      }
    }
  }

  /**
   * @param id the queue's ARN, URL or logical id
   * @throws if the stack has no such queue
   */
  get(id: string): Queue {
    const queue = this.find(id);
    if (!queue) throw new Error(`the stack has no queue ${id}`);
    return queue;
  }

  find(id: string): Queue | undefined {
    return this.all.find(({ arn, url, logicalId }) => [arn, url, logicalId].includes(id));
  }
}

function md5(text: string): string {
  return createHash('md5').update(text).digest('hex');
}
