import { type SweepQueue, SweepQueueError, type WakeUp } from '../../../lambda/connection/sweep-queue.ts';

/** A sweep queue that keeps what it is given; can be told to fail. */
export class InMemorySweepQueue implements SweepQueue {
  readonly wakeUps: WakeUp[] = [];
  isOutOfReach = false;

  async send(wakeUps: readonly WakeUp[]): Promise<void> {
    if (this.isOutOfReach) {
      throw new SweepQueueError('SendMessageBatch on the sweep queue failed: TimeoutError');
    }
    this.wakeUps.push(...wakeUps);
  }
}
