import * as v from 'valibot';
import {
  type RescueMessage,
  type RescueQueue,
  RescueQueueError,
  type Rotation,
} from '../connection/rescue-queue.ts';
import type { AwsCaller } from './aws-service.ts';
import { getErrorName } from './error-name.ts';
import { openText, sealText } from './sealed-text.ts';
import type { RescueKey, Secret } from './secret.ts';

/** SQS's limit per receive. */
const LARGEST_BATCH = 10;

/** Long polling: SQS asks all of its servers; otherwise it asks only some and easily misses a message. */
const WAIT_SECONDS = 1;

const Message = v.object({ MessageId: v.string(), ReceiptHandle: v.string(), Body: v.string() });

const Received = v.object({ Messages: v.nullish(v.array(Message), []) });

const Json = v.pipe(v.string(), v.parseJson());

const Envelope = v.pipe(Json, v.object({ user_id: v.string(), sealed: v.string() }));

const Common = {
  lease_id: v.string(),
  leased_at: v.string(),
  used_refresh_token: v.string(),
  refresh_token: v.string(),
};

const Content = v.pipe(
  Json,
  v.variant('outcome', [
    v.object({
      ...Common,
      outcome: v.literal('refreshed'),
      access_token: v.string(),
      expires_in: v.number(),
    }),
    v.object({ ...Common, outcome: v.literal('refresh_token_only'), retry_after: v.number() }),
  ]),
);

/** The rescue queue in SQS. A message names the user; everything else in it is encrypted. */
export class SqsRescueQueue implements RescueQueue {
  readonly #sqs: AwsCaller;
  readonly #queueUrl: string;
  readonly #secret: Secret<RescueKey>;

  constructor(sqs: AwsCaller, queueUrl: URL, secret: Secret<RescueKey>) {
    this.#sqs = sqs;
    this.#queueUrl = queueUrl.href;
    this.#secret = secret;
  }

  async put(rotation: Rotation, timeoutMilliseconds: number): Promise<void> {
    const { key } = await this.#secret.read();
    // The timeout starts here: reading the key first must not use up the time for the only copy of a token.
    await this.#call(
      'SendMessage',
      { MessageBody: createMessageBody(rotation, key) },
      v.unknown(),
      timeoutMilliseconds,
    );
  }

  async receive(): Promise<readonly RescueMessage[]> {
    // First, because a message that is received and then cannot be decrypted is hidden for a while.
    const known = await this.#secret.read();
    const { Messages } = await this.#call(
      'ReceiveMessage',
      { MaxNumberOfMessages: LARGEST_BATCH, WaitTimeSeconds: WAIT_SECONDS },
      Received,
    );
    return Promise.all(
      Messages.map(async (message) => ({
        messageId: message.MessageId,
        receipt: message.ReceiptHandle,
        rotation:
          readRotation(message, known.key) ??
          // Another instance may have encrypted it with a newer key.
          readRotation(message, (await this.#secret.renew(known)).key),
      })),
    );
  }

  async remove(message: RescueMessage): Promise<void> {
    await this.#call('DeleteMessage', { ReceiptHandle: message.receipt }, v.unknown());
  }

  async #call<Output>(
    operation: string,
    input: object,
    schema: v.GenericSchema<unknown, Output>,
    timeoutMilliseconds?: number,
  ): Promise<Output> {
    try {
      return await this.#sqs.call(
        operation,
        { QueueUrl: this.#queueUrl, ...input },
        schema,
        timeoutMilliseconds,
      );
    } catch (error) {
      // Its name alone: its message may quote what was sent.
      throw new RescueQueueError(`${operation} on the rescue queue failed: ${getErrorName(error)}`, {
        cause: error,
      });
    }
  }
}

function createMessageBody({ lease, outcome }: Rotation, key: string): string {
  const common = {
    lease_id: lease.leaseId,
    leased_at: lease.leasedAt,
    used_refresh_token: lease.refreshToken,
    refresh_token: outcome.refreshToken,
  };
  const content: v.InferOutput<typeof Content> =
    outcome.kind === 'refreshed'
      ? {
          ...common,
          outcome: 'refreshed',
          access_token: outcome.accessToken,
          expires_in: outcome.expiresInSeconds,
        }
      : { ...common, outcome: 'refresh_token_only', retry_after: outcome.retryAfterSeconds };
  const envelope: v.InferOutput<typeof Envelope> = {
    user_id: lease.userId,
    sealed: sealText(JSON.stringify(content), lease.userId, key),
  };
  return JSON.stringify(envelope);
}

function readRotation({ Body }: v.InferOutput<typeof Message>, key: string): Rotation | null {
  const envelope = v.safeParse(Envelope, Body);
  if (!envelope.success) {
    return null;
  }
  const { user_id, sealed } = envelope.output;
  const content = v.safeParse(Content, openText(sealed, user_id, key));
  if (!content.success) {
    return null;
  }
  const { lease_id, leased_at, used_refresh_token, refresh_token } = content.output;
  return {
    lease: { userId: user_id, leaseId: lease_id, leasedAt: leased_at, refreshToken: used_refresh_token },
    outcome:
      content.output.outcome === 'refreshed'
        ? {
            kind: 'refreshed',
            accessToken: content.output.access_token,
            refreshToken: refresh_token,
            expiresInSeconds: content.output.expires_in,
          }
        : {
            kind: 'refresh_token_only',
            refreshToken: refresh_token,
            retryAfterSeconds: content.output.retry_after,
          },
  };
}
