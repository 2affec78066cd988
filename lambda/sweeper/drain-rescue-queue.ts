import { millisecondsUntil } from '../connection/clock.ts';
import { describeFailure } from '../connection/operational-error.ts';
import { isUnstored, type RecordDependencies } from '../connection/record-or-rescue.ts';
import { recordOutcomes } from '../connection/record-outcomes.ts';
import { reportRefusals } from '../connection/report-refusals.ts';
import type { RescueMessage } from '../connection/rescue-queue.ts';

/** How long one rescued token is tried; with its removal it stays below the queue's visibility timeout. */
const WRITE_BUDGET_MILLISECONDS = 10_000;

/**
 * Stores the rotated refresh tokens that wait in the rescue queue. To be done before anything is claimed: a claim
 * would send Spotify the token that such a one replaced. Fenced like every other outcome, so a token that came twice
 * or that somebody has overwritten meanwhile changes nothing.
 *
 * What cannot be stored or opened is logged and stays in the queue, which gives it up to its dead-letter queue. A
 * queue that is out of reach is logged too, and does not keep everybody else's tokens from being refreshed.
 *
 * @param until a moment of the monotonic clock after which nothing more is received
 */
export async function drainRescueQueue(until: number, dependencies: RecordDependencies): Promise<void> {
  const { store, rescueQueue, clock, log } = dependencies;
  try {
    // Every receipt brings a message nearer to the dead-letter queue: none while the database takes no outcomes.
    await store.record([], WRITE_BUDGET_MILLISECONDS);
    let messages = await rescueQueue.receive();
    while (messages.length > 0) {
      await Promise.all(messages.map((message) => storeRescued(message, dependencies)));
      messages = millisecondsUntil(clock, until) > 0 ? await rescueQueue.receive() : [];
    }
  } catch (error) {
    log.error('rescue queue not drained', describeFailure(error));
  }
}

async function storeRescued(
  message: RescueMessage,
  { store, rescueQueue, clock, log, metrics }: RecordDependencies,
): Promise<void> {
  if (message.rotation === null) {
    log.error('rescued token not stored', {
      message_id: message.messageId,
      code: 'RESCUE_MESSAGE_UNREADABLE',
    });
    return;
  }
  const { userId, leaseId } = message.rotation.lease;
  try {
    const deadline = clock.monotonicMilliseconds() + WRITE_BUDGET_MILLISECONDS;
    const { verdicts, refusals } = await recordOutcomes([message.rotation], deadline, store, clock);
    reportRefusals(refusals, { log, metrics });
    const verdict = verdicts.get(leaseId);
    log.warn('rescued token', { user_id: userId, verdict });
    if (!isUnstored(verdict)) {
      metrics.add({ rescueStored: 1 });
      await rescueQueue.remove(message);
    }
  } catch (error) {
    log.error('rescued token not stored', { user_id: userId, ...describeFailure(error) });
  }
}
