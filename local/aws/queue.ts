import { randomUUID } from 'node:crypto';
import type { StackTemplate } from './template.ts';

export interface QueueMessage {
  readonly messageId: string;
  readonly body: string;
  /** Message attributes, all of them strings. */
  readonly attributes: Readonly<Record<string, string>>;
}

/** An SQS queue that keeps what is put into it, in order; nothing receives from it. */
export class Queue {
  readonly logicalId: string;
  readonly arn: string;
  readonly messages: QueueMessage[] = [];

  constructor(logicalId: string, arn: string) {
    this.logicalId = logicalId;
    this.arn = arn;
  }

  send(body: string, attributes: Readonly<Record<string, string>> = {}): void {
    this.messages.push({ messageId: randomUUID(), body, attributes });
  }
}

/** The template's queues, found by ARN. */
export class Queues {
  readonly all: readonly Queue[];

  constructor(template: StackTemplate) {
    this.all = template
      .resourcesOfType('AWS::SQS::Queue')
      .map(({ logicalId, attributes }) => new Queue(logicalId, attributes.Arn));
  }

  /** @throws where the stack has no such queue */
  get(arn: string): Queue {
    const queue = this.all.find((candidate) => candidate.arn === arn);
    if (!queue) throw new Error(`the stack has no queue ${arn}`);
    return queue;
  }
}
