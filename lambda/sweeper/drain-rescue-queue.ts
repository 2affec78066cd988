import { millisecondsUntil } from '../connection/clock.ts';
import { describeFailure } from '../connection/operational-error.ts';
import { isUnstored, type RecordDependencies } from '../connection/record-or-rescue.ts';
import { recordOutcomes } from '../connection/record-outcomes.ts';
import { reportRefusals } from '../connection/report-refusals.ts';
import type { RescueMessage } from '../connection/rescue-queue.ts';

/** Time for storing one rescued token; including its removal, it stays below the queue's visibility timeout. */
const WRITE_BUDGET_MILLISECONDS = 10_000;

/**
 * Stores the rotated refresh tokens that wait in the rescue queue. It must run before any claim: a claim
 * would send Spotify the token that a waiting one replaced. Fenced like every other outcome, so a token that arrives
 * twice, or that was overwritten meanwhile, changes nothing.
 *
 * A message that cannot be stored or decrypted is logged and stays in the queue, which finally moves it to its dead-letter
 * queue. An unreachable queue is logged too, and does not stop the refresh of everybody else's tokens.
 *
 * @param until a time of the monotonic clock after which it receives nothing more
 */
export async function drainRescueQueue(until: number, dependencies: RecordDependencies): Promise<void> {
  const { store, rescueQueue, clock, log } = dependencies;
  try {
    // Every receipt brings a message nearer to the dead-letter queue, so receive none while the database stores nothing.
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
