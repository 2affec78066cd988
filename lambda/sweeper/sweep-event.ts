import * as v from 'valibot';
import type { WakeUp } from '../connection/sweep-queue.ts';
import type { SweepPart } from './fan-out.ts';

/** What the sweeper can be asked to do. */
export type SweepEvent =
  | { readonly kind: 'sweep'; readonly part: SweepPart }
  | { readonly kind: 'refresh_user'; readonly userId: string }
  | { readonly kind: 'show'; readonly userId: string }
  | { readonly kind: 'statistics' }
  /** `since`: ISO 8601. */
  | { readonly kind: 'restore'; readonly since: string }
  | { readonly kind: 'doctor' };

/** An event that the sweeper does not understand; nothing was done. */
export class UnexpectedEventError extends Error {
  readonly code = 'EVENT_UNEXPECTED';

  constructor() {
    super(
      'the sweeper takes {"sweep": {"scheduledAt": "<ISO 8601 time>"}} from the schedule, {} for a sweep by hand, ' +
        '{"userId": "<uuid>"} to refresh one user, {"show": "<uuid>"}, {"statistics": true}, ' +
        '{"restore": {"since": "<ISO 8601 time with zone>"}}, {"doctor": true}, or a message of the sweep queue; ' +
        'this event is none of them',
    );
    this.name = 'UnexpectedEventError';
  }
}

const Instant = v.pipe(v.string(), v.isoTimestamp());

const WakeUpBody: v.GenericSchema<unknown, WakeUp> = v.strictObject({
  scheduledAt: v.nullable(Instant),
  ageSeconds: v.pipe(v.number(), v.minValue(0)),
  link: v.pipe(v.number(), v.integer(), v.minValue(0)),
});

/** Milliseconds since the epoch by SQS's clock, as text. */
const Moment = v.pipe(v.string(), v.digits(), v.transform(Number));

/**
 * A message of the sweep queue; the event source mapping hands over one at a time.
 * @see https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
 */
const QueueMessage = v.pipe(
  v.object({
    eventSource: v.literal('aws:sqs'),
    body: v.pipe(v.string(), v.parseJson(), WakeUpBody),
    attributes: v.object({ SentTimestamp: Moment, ApproximateFirstReceiveTimestamp: Moment }),
  }),
  v.transform(({ body, attributes }): SweepEvent => {
    // The time in the queue, by the queue's own clock.
    const queuedMilliseconds = attributes.ApproximateFirstReceiveTimestamp - attributes.SentTimestamp;
    const ageSeconds = body.ageSeconds + Math.max(0, queuedMilliseconds) / 1_000;
    return { kind: 'sweep', part: { ...body, role: 'helper', ageSeconds } };
  }),
);

const UserId = v.pipe(v.string(), v.uuid(), v.toLowerCase());

const Event = v.union([
  v.pipe(
    v.strictObject({ sweep: v.strictObject({ scheduledAt: Instant }) }),
    v.transform(({ sweep }) => firstPart(sweep.scheduledAt)),
  ),
  v.pipe(
    v.strictObject({ Records: v.strictTuple([QueueMessage]) }),
    v.transform(({ Records: [event] }): SweepEvent => event),
  ),
  v.pipe(
    v.strictObject({ userId: UserId }),
    v.transform(({ userId }): SweepEvent => ({ kind: 'refresh_user', userId })),
  ),
  v.pipe(
    v.strictObject({ show: UserId }),
    v.transform(({ show }): SweepEvent => ({ kind: 'show', userId: show })),
  ),
  v.pipe(
    v.strictObject({ statistics: v.literal(true) }),
    v.transform((): SweepEvent => ({ kind: 'statistics' })),
  ),
  v.pipe(
    v.strictObject({ restore: v.strictObject({ since: Instant }) }),
    v.transform(({ restore }): SweepEvent => ({ kind: 'restore', since: restore.since })),
  ),
  v.pipe(
    v.strictObject({ doctor: v.literal(true) }),
    v.transform((): SweepEvent => ({ kind: 'doctor' })),
  ),
  v.pipe(
    v.custom<object>((event) => !Array.isArray(event)),
    v.strictObject({}),
    v.transform(() => firstPart(null)),
  ),
]);

function firstPart(scheduledAt: string | null): SweepEvent {
  return { kind: 'sweep', part: { role: 'first', scheduledAt, ageSeconds: 0, link: 0 } };
}

/** Parses an event of the sweeper; throws an {@link UnexpectedEventError}. */
export function parseSweepEvent(event: unknown): SweepEvent {
  const parsed = v.safeParse(Event, event);
  if (!parsed.success) {
    throw new UnexpectedEventError();
  }
  return parsed.output;
}
