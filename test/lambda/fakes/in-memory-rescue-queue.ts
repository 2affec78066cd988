import {
  type RescueMessage,
  type RescueQueue,
  RescueQueueError,
  type Rotation,
} from '../../../lambda/connection/rescue-queue.ts';

/** A rescue queue in memory that hands out each message once, until it is told that time has passed. */
export class InMemoryRescueQueue implements RescueQueue {
  /** What is in the queue, received or not. */
  readonly messages: RescueMessage[] = [];
  /** Time that each message was given to be sent. */
  readonly timeouts: number[] = [];
  isOutOfReach = false;
  readonly #batchSize: number;
  #hidden = new Set<RescueMessage>();
  #messagesSent = 0;

  constructor(batchSize = 10) {
    this.#batchSize = batchSize;
  }

  async put(rotation: Rotation, timeoutMilliseconds: number): Promise<void> {
    this.timeouts.push(timeoutMilliseconds);
    this.#assertInReach();
    this.add(rotation);
  }

  /** Adds a message from another sender; null: one that cannot be decrypted. */
  add(rotation: Rotation | null): void {
    this.#messagesSent += 1;
    const id = `message-${this.#messagesSent}`;
    this.messages.push({ messageId: id, receipt: `receipt-of-${id}`, rotation });
  }

  async receive(): Promise<readonly RescueMessage[]> {
    this.#assertInReach();
    const received = this.messages.filter((message) => !this.#hidden.has(message)).slice(0, this.#batchSize);
    for (const message of received) {
      this.#hidden.add(message);
    }
    return received;
  }

  async remove(message: RescueMessage): Promise<void> {
    this.#assertInReach();
    this.messages.splice(this.messages.indexOf(message), 1);
  }

  /** Lets the visibility timeout of everything that was received pass. */
  showAgain(): void {
    this.#hidden.clear();
  }

  #assertInReach(): void {
    if (this.isOutOfReach) {
      throw new RescueQueueError('the rescue queue is out of reach');
    }
  }
}
