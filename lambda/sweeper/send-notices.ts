import { type Clock, millisecondsUntil } from '../connection/clock.ts';
import type { Log } from '../connection/log.ts';
import type { Metrics } from '../connection/metrics.ts';
import type { NoticeBus, NoticeStore } from '../connection/notice.ts';
import { describeFailure } from '../connection/operational-error.ts';

const BATCH_SIZE = 1_000;
const DATABASE_TIMEOUT_MILLISECONDS = 10_000;

/** What telling other teams works with. */
export type SendNoticesDependencies = {
  readonly noticeStore: NoticeStore;
  readonly noticeBus: NoticeBus;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
};

/**
 * Tells other teams which connections need their users, and which soon will: at least once each, always with the same
 * id. What the bus or the database does not take is reported, and left to the next sweep; nothing depends on it.
 *
 * @param until a moment of the monotonic clock after which nothing more is sent
 */
export async function sendNotices(until: number, dependencies: SendNoticesDependencies): Promise<void> {
  const { clock, log } = dependencies;
  try {
    while (millisecondsUntil(clock, until) > 0 && (await sendBatch(dependencies))) {}
  } catch (error) {
    log.warn('events not sent', describeFailure(error));
  }
}

/** @returns whether there may be more */
async function sendBatch({
  noticeStore,
  noticeBus,
  log,
  metrics,
}: SendNoticesDependencies): Promise<boolean> {
  const pending = await noticeStore.pending(BATCH_SIZE, DATABASE_TIMEOUT_MILLISECONDS);
  if (pending.length === 0) {
    return false;
  }
  const { taken, failure } = await noticeBus.send(pending);
  metrics.add({ noticesSent: taken.length, noticesFailed: pending.length - taken.length });
  log.info('events sent', { count: taken.length });
  if (failure !== null) {
    log.error('events not sent', {
      count: pending.length - taken.length,
      code: 'EVENT_BUS_UNAVAILABLE',
      reason: `the event bus did not take them: ${failure}`,
    });
  }
  const recorded =
    taken.length === 0 ? 0 : await noticeStore.recordSent(taken, DATABASE_TIMEOUT_MILLISECONDS);
  // What was not recorded is pending still, and would be sent again at once.
  return recorded === BATCH_SIZE;
}
