import { type Clock, millisecondsUntil } from '../connection/clock.ts';
import type { Log } from '../connection/log.ts';
import type { Metrics } from '../connection/metrics.ts';
import { describeFailure } from '../connection/operational-error.ts';
import type { EventBus, ReauthorizationEventStore } from '../connection/reauthorization-event.ts';

const BATCH_SIZE = 1_000;
const DATABASE_TIMEOUT_MILLISECONDS = 10_000;

/** The dependencies of sending events. */
export type SendEventsDependencies = {
  readonly eventStore: ReauthorizationEventStore;
  readonly eventBus: EventBus;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
};

/**
 * Tells other teams which connections need their users, now or soon: at least once each, always with the same
 * id. If the bus or the database rejects an event, that is logged, and the next sweep sends it; nothing depends on it.
 *
 * @param until a time of the monotonic clock after which it sends nothing more
 */
export async function sendEvents(until: number, dependencies: SendEventsDependencies): Promise<void> {
  const { clock, log } = dependencies;
  try {
    while (millisecondsUntil(clock, until) > 0 && (await sendBatch(dependencies))) {}
  } catch (error) {
    log.warn('events not sent', describeFailure(error));
  }
}

/** @returns whether there may be more */
async function sendBatch({ eventStore, eventBus, log, metrics }: SendEventsDependencies): Promise<boolean> {
  const pending = await eventStore.pending(BATCH_SIZE, DATABASE_TIMEOUT_MILLISECONDS);
  if (pending.length === 0) {
    return false;
  }
  const { taken, failure } = await eventBus.send(pending);
  metrics.add({ eventsSent: taken.length, eventsNotSent: pending.length - taken.length });
  log.info('events sent', { count: taken.length });
  if (failure !== null) {
    log.error('events not sent', {
      count: pending.length - taken.length,
      code: 'EVENT_BUS_UNAVAILABLE',
      reason: `the event bus rejected them: ${failure}`,
    });
  }
  const recorded = taken.length === 0 ? 0 : await eventStore.recordSent(taken, DATABASE_TIMEOUT_MILLISECONDS);
  // Events that were not recorded are still pending, and would be sent again at once.
  return recorded === BATCH_SIZE;
}
