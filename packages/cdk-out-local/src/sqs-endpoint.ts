import type { IncomingHttpHeaders } from 'node:http';
import * as v from 'valibot';
import { type AccessControl, explainDenial } from './access.ts';
import type { Caller, CredentialIssuer } from './credentials.ts';
import { type JsonAnswer, JsonServer } from './json-server.ts';
import type { Queue, Queues } from './queue.ts';

export interface SqsEndpointOptions {
  readonly queues: Queues;
  readonly access: AccessControl;
  readonly credentials: CredentialIssuer;
}

interface Operation<Input> {
  /** The action that a policy must allow. @default the operation's own name */
  readonly action?: string;
  readonly schema: v.GenericSchema<unknown, Input>;
  perform(queue: Queue, input: Input): JsonAnswer['body'];
}

/** Keeps an operation's schema and its implementation together. */
function operation<Input>(
  schema: v.GenericSchema<unknown, Input>,
  perform: Operation<Input>['perform'],
  action?: string,
) {
  return { schema, perform, action } as Operation<unknown>;
}

const QueueUrl = v.string();

/** The SQS operations that the functions use; others are rejected. */
const operations: Readonly<Record<string, Operation<unknown>>> = {
  SendMessage: operation(v.strictObject({ QueueUrl, MessageBody: v.string() }), (queue, { MessageBody }) =>
    send(queue, MessageBody),
  ),
  SendMessageBatch: operation(
    v.strictObject({
      QueueUrl,
      Entries: v.pipe(
        v.array(v.strictObject({ Id: v.string(), MessageBody: v.string() })),
        v.minLength(1),
        v.maxLength(10),
      ),
    }),
    (queue, { Entries }) => ({
      Successful: Entries.map(({ Id, MessageBody }) => ({ Id, ...send(queue, MessageBody) })),
      Failed: [],
    }),
    'SendMessage',
  ),
  ReceiveMessage: operation(
    v.strictObject({
      QueueUrl,
      MaxNumberOfMessages: v.optional(v.pipe(v.number(), v.minValue(1), v.maxValue(10)), 1),
      WaitTimeSeconds: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(20))),
    }),
    (queue, { MaxNumberOfMessages }) => ({
      Messages: queue.receive(MaxNumberOfMessages).map(({ messageId, receiptHandle, body, md5OfBody }) => ({
        MessageId: messageId,
        ReceiptHandle: receiptHandle,
        MD5OfBody: md5OfBody,
        Body: body,
      })),
    }),
  ),
  DeleteMessage: operation(
    v.strictObject({ QueueUrl, ReceiptHandle: v.string() }),
    (queue, { ReceiptHandle }) => {
      queue.delete(ReceiptHandle);
      return {};
    },
  ),
};

/**
 * The template's queues over HTTP, in SQS's JSON protocol. The access key identifies the caller, who may do what the
 * policies of the role and the queue allow.
 *
 * @see https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-json.html
 */
export class SqsEndpoint {
  readonly #queues: Queues;
  readonly #access: AccessControl;
  readonly #credentials: CredentialIssuer;
  #isFailing = false;
  #server!: JsonServer;

  static async start(options: SqsEndpointOptions): Promise<SqsEndpoint> {
    const endpoint = new SqsEndpoint(options);
    endpoint.#server = await JsonServer.start({
      version: '1.0',
      answer: (input, headers) => endpoint.#answer(input, headers),
    });
    return endpoint;
  }

  private constructor({ queues, access, credentials }: SqsEndpointOptions) {
    this.#queues = queues;
    this.#access = access;
    this.#credentials = credentials;
  }

  get url(): string {
    return this.#server.url;
  }

  /** Makes every call fail from now on, or none. */
  makeTrouble(isFailing: boolean): void {
    this.#isFailing = isFailing;
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }

  #answer(input: unknown, headers: IncomingHttpHeaders): JsonAnswer {
    if (this.#isFailing) return failure('InternalError', 'We encountered an internal error.', 500);

    const name = String(headers['x-amz-target']).replace(/^AmazonSQS\./, '');
    const called = Object.hasOwn(operations, name) ? operations[name] : undefined;
    if (!called) return failure('UnsupportedOperation', `${name} is not implemented on this machine`);
    const caller = this.#credentials.findCaller(headers.authorization);
    if (!caller) {
      return failure('InvalidClientTokenId', 'The security token included in the request is invalid.', 403);
    }
    const parsed = v.safeParse(called.schema, input);
    if (!parsed.success) return failure('InvalidParameterValue', v.summarize(parsed.issues));
    return this.#perform(name, called, parsed.output, caller);
  }

  #perform(
    name: string,
    { perform, action: own = name }: Operation<unknown>,
    input: unknown,
    caller: Caller,
  ): JsonAnswer {
    const queue = this.#queues.find((input as { QueueUrl: string }).QueueUrl);
    if (!queue) return failure('QueueDoesNotExist', 'The specified queue does not exist.');
    const action = `sqs:${own}`;
    const decision = this.#access.decide(caller.roleArn, action, queue.arn);
    if (decision !== 'allowed') {
      return failure('AccessDeniedException', explainDenial(decision, caller, action, queue.arn), 403);
    }
    return { status: 200, body: perform(queue, input) };
  }
}

function send(queue: Queue, body: string) {
  const { messageId, md5OfBody } = queue.send(body);
  return { MessageId: messageId, MD5OfMessageBody: md5OfBody };
}

function failure(type: string, message: string, status = 400): JsonAnswer {
  return { status, body: { __type: `com.amazonaws.sqs#${type}`, message } };
}
