import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { json } from 'node:stream/consumers';
import * as v from 'valibot';
import { listen } from '../listen.ts';
import { type AccessControl, explainDenial } from './access.ts';
import type { Caller, CredentialIssuer } from './credentials.ts';
import type { Queue, Queues } from './queue.ts';

export interface SqsEndpointOptions {
  readonly queues: Queues;
  readonly access: AccessControl;
  readonly credentials: CredentialIssuer;
}

interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

interface Operation<Input> {
  /** What a policy has to allow. @default the operation's own name */
  readonly action?: string;
  readonly schema: v.GenericSchema<unknown, Input>;
  perform(queue: Queue, input: Input): Answer['body'];
}

/** Keeps an operation's schema and what it does with the input together. */
function operation<Input>(
  schema: v.GenericSchema<unknown, Input>,
  perform: Operation<Input>['perform'],
  action?: string,
) {
  return { schema, perform, action } as Operation<unknown>;
}

const QueueUrl = v.string();

/** What the functions use of SQS; anything else is refused. */
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
 * The template's queues over HTTP, in SQS's JSON protocol. Callers are known by their access key and may do what their
 * role's policies and those of the queue allow.
 *
 * @see https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-json.html
 */
export class SqsEndpoint {
  readonly #queues: Queues;
  readonly #access: AccessControl;
  readonly #credentials: CredentialIssuer;
  readonly #server: Server;
  #isFailing = false;
  #url = '';

  static async start(options: SqsEndpointOptions): Promise<SqsEndpoint> {
    const endpoint = new SqsEndpoint(options);
    endpoint.#url = `http://127.0.0.1:${await listen(endpoint.#server, 0)}`;
    return endpoint;
  }

  private constructor({ queues, access, credentials }: SqsEndpointOptions) {
    this.#queues = queues;
    this.#access = access;
    this.#credentials = credentials;
    this.#server = createServer(async (request, response) => {
      const { status, body } = await this.#answer(request).catch(() =>
        failure('MalformedInput', 'the request is not JSON'),
      );
      response.writeHead(status, {
        'content-type': 'application/x-amz-json-1.0',
        'x-amzn-requestid': randomUUID(),
      });
      response.end(JSON.stringify(body));
    });
  }

  get url(): string {
    return this.#url;
  }

  /** Makes every call fail from now on, or none. */
  makeTrouble(isFailing: boolean): void {
    this.#isFailing = isFailing;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage): Promise<Answer> {
    const input: unknown = await json(request);
    if (this.#isFailing) return failure('InternalError', 'We encountered an internal error.', 500);

    const name = String(request.headers['x-amz-target']).replace(/^AmazonSQS\./, '');
    const called = Object.hasOwn(operations, name) ? operations[name] : undefined;
    if (!called) return failure('UnsupportedOperation', `${name} is not implemented on this machine`);
    const caller = this.#credentials.findCaller(request.headers.authorization);
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
  ): Answer {
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

function failure(type: string, message: string, status = 400): Answer {
  return { status, body: { __type: `com.amazonaws.sqs#${type}`, message } };
}
