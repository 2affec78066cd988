import type { RescueMessage, RescueQueue, Rotation } from '../connection/rescue-queue.ts';

/**
 * A rescue queue that is created at its first use: only a failed write needs it, and otherwise every cold start would load
 * the SQS client (docs/decisions/0012).
 */
export class RescueQueueOnDemand implements RescueQueue {
  readonly #create: () => Promise<RescueQueue>;
  #queue: Promise<RescueQueue> | null = null;

  constructor(create: () => Promise<RescueQueue>) {
    this.#create = create;
  }

  async put(rotation: Rotation, timeoutMilliseconds: number): Promise<void> {
    return (await this.#open()).put(rotation, timeoutMilliseconds);
  }

  async receive(): Promise<readonly RescueMessage[]> {
    return (await this.#open()).receive();
  }

  async remove(message: RescueMessage): Promise<void> {
    return (await this.#open()).remove(message);
  }

  #open(): Promise<RescueQueue> {
    this.#queue ??= this.#create().catch((error: unknown) => {
      this.#queue = null;
      throw error;
    });
    return this.#queue;
  }
}
