import * as v from 'valibot';
import { type SweepQueue, SweepQueueError, type WakeUp } from '../connection/sweep-queue.ts';
import type { AwsCaller } from './aws-service.ts';
import { getErrorName } from './error-name.ts';

/** SQS's limit per call. */
const LARGEST_BATCH = 10;

const SentBatch = v.object({ Failed: v.nullish(v.array(v.unknown()), []) });

/** The sweep queue in SQS. */
export class SqsSweepQueue implements SweepQueue {
  readonly #sqs: AwsCaller;
  readonly #queueUrl: string;

  constructor(sqs: AwsCaller, queueUrl: URL) {
    this.#sqs = sqs;
    this.#queueUrl = queueUrl.href;
  }

  async send(wakeUps: readonly WakeUp[]): Promise<void> {
    for (let start = 0; start < wakeUps.length; start += LARGEST_BATCH) {
      await this.#sendBatch(wakeUps.slice(start, start + LARGEST_BATCH));
    }
  }

  async #sendBatch(wakeUps: readonly WakeUp[]): Promise<void> {
    const input = {
      QueueUrl: this.#queueUrl,
      Entries: wakeUps.map((wakeUp, index) => ({ Id: String(index), MessageBody: JSON.stringify(wakeUp) })),
    };
    const { Failed } = await this.#sqs.call('SendMessageBatch', input, SentBatch).catch((error: unknown) => {
      const name = getErrorName(error);
      throw new SweepQueueError(`SendMessageBatch on the sweep queue failed: ${name}`, { cause: error });
    });
    if (Failed.length > 0) {
      throw new SweepQueueError(
        `the sweep queue accepted ${wakeUps.length - Failed.length} of ${wakeUps.length}`,
      );
    }
  }
}
