import type { AccessControl } from './access.ts';
import type { InvocationResult } from './invocation.ts';
import type { Queue, Queues, ReceivedMessage } from './queue.ts';
import type { Resource, StackTemplate } from './template.ts';

export interface EventSourceMappingsOptions {
  readonly template: StackTemplate;
  readonly access: AccessControl;
  readonly queues: Queues;
  readonly invoke: (functionArn: string, event: unknown) => Promise<InvocationResult>;
}

/** Lambda's actions on a queue, in the function's role. */
const NEEDED_ACTIONS = ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'];

/**
 * Invokes functions with the messages of their queues, as Lambda's event source mappings do: it deletes a message if
 * the function succeeds; otherwise the message returns after its visibility timeout.
 *
 * @see https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
 */
export class EventSourceMappings {
  readonly #mappings: readonly EventSourceMapping[];

  /** @throws on anything that a deployment rejects as well: a missing permission, or a visibility timeout below the function's own */
  constructor(options: EventSourceMappingsOptions) {
    this.#mappings = options.template
      .resourcesOfType('AWS::Lambda::EventSourceMapping')
      .map((resource) => new EventSourceMapping(resource, options));
  }

  /** Stops receiving; invocations in progress continue. */
  stop(): void {
    for (const mapping of this.#mappings) mapping.stop();
  }
}

class EventSourceMapping {
  readonly #queue: Queue;
  readonly #region: string;
  readonly #functionArn: string;
  readonly #maximumConcurrency: number;
  readonly #invoke: EventSourceMappingsOptions['invoke'];
  readonly #timers = new Set<NodeJS.Timeout>();
  #underWay = 0;
  #isStopped = false;

  constructor(
    { logicalId, properties }: Resource<'AWS::Lambda::EventSourceMapping'>,
    { template, access, queues, invoke }: EventSourceMappingsOptions,
  ) {
    const target = template
      .resourcesOfType('AWS::Lambda::Function')
      .find(({ ref }) => ref === properties.FunctionName);
    if (!target) throw new Error(`${logicalId}: the stack has no function ${properties.FunctionName}`);
    const queue = queues.get(properties.EventSourceArn);
    for (const action of NEEDED_ACTIONS) {
      if (!access.isAllowed(target.properties.Role, action, queue.arn)) {
        throw new Error(`${logicalId}: ${target.properties.Role} may not call ${action} on ${queue.arn}`);
      }
    }
    const declared = template.resourcesOfType('AWS::SQS::Queue').find(({ ref }) => ref === queue.url);
    if (Number(declared?.properties.VisibilityTimeout) < target.properties.Timeout) {
      throw new Error(
        `${logicalId}: the visibility timeout of ${queue.arn} is below the function's timeout of ${target.properties.Timeout} s`,
      );
    }
    this.#queue = queue;
    this.#region = template.region;
    this.#functionArn = target.attributes.Arn;
    this.#maximumConcurrency = properties.ScalingConfig.MaximumConcurrency;
    this.#invoke = invoke;
    queue.onVisible(() => this.#receive());
  }

  stop(): void {
    this.#isStopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
  }

  #receive(): void {
    while (!this.#isStopped && this.#underWay < this.#maximumConcurrency) {
      const [message] = this.#queue.receive(1);
      if (!message) return;
      void this.#process(message);
    }
  }

  async #process(message: ReceivedMessage): Promise<void> {
    this.#underWay += 1;
    const { functionError } = await this.#invoke(this.#functionArn, { Records: [this.#recordOf(message)] });
    this.#underWay -= 1;
    if (functionError === undefined) {
      this.#queue.delete(message.receiptHandle);
    } else {
      this.#receiveAt(message.visibleAt);
    }
    this.#receive();
  }

  #receiveAt(moment: number): void {
    if (this.#isStopped) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      // Timers may fire early by the clock that these times come from.
      if (Date.now() < moment) this.#receiveAt(moment);
      else this.#receive();
    }, moment - Date.now());
    this.#timers.add(timer);
  }

  #recordOf(message: ReceivedMessage) {
    return {
      messageId: message.messageId,
      receiptHandle: message.receiptHandle,
      body: message.body,
      attributes: {
        ApproximateReceiveCount: String(message.receiveCount),
        SentTimestamp: String(message.sentAt),
        SenderId: 'AIDALOCAL',
        ApproximateFirstReceiveTimestamp: String(message.firstReceivedAt),
      },
      messageAttributes: {},
      md5OfBody: message.md5OfBody,
      eventSource: 'aws:sqs',
      eventSourceARN: this.#queue.arn,
      awsRegion: this.#region,
    };
  }
}
