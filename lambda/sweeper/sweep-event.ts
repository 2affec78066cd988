import * as v from 'valibot';
import type { WakeUp } from '../connection/sweep-queue.ts';
import type { SweepPart } from './fan-out.ts';

/** The commands of the sweeper. */
export type SweepEvent =
  | { readonly command: 'sweep'; readonly part: SweepPart }
  | { readonly command: 'refresh'; readonly userId: string }
  | { readonly command: 'show'; readonly userId: string }
  | { readonly command: 'explain'; readonly userId: string }
  | { readonly command: 'find'; readonly email: string }
  | { readonly command: 'statistics' }
  /** `since`: ISO 8601. `dryRun`: only counts. */
  | { readonly command: 'restore'; readonly since: string; readonly dryRun: boolean }
  | {
      readonly command: 'try-secret';
      readonly secret: 'spotify' | 'supabase';
      readonly value: Readonly<Record<string, string>>;
    }
  | { readonly command: 'doctor' };

/** An event that the sweeper does not understand; nothing was done. */
export class UnexpectedEventError extends Error {
  override readonly name = 'UnexpectedEventError';
  readonly code = 'EVENT_UNEXPECTED';

  constructor() {
    super(
      'the sweeper takes {"command": "sweep"}, with "scheduledAt": "<ISO 8601 time>" from the schedule, ' +
        '{"command": "refresh", "userId": "<uuid>"}, {"command": "show", "userId": "<uuid>"}, ' +
        '{"command": "explain", "userId": "<uuid>"}, {"command": "find", "email": "<address>"}, ' +
        '{"command": "statistics"}, {"command": "restore", "since": "<ISO 8601 time with zone>"}, with "dryRun": true to ' +
        'count only, {"command": "try-secret", "secret": "spotify" or "supabase", "value": {...}}, {"command": "doctor"}, or a message of the sweep queue; this event is none of them',
    );
  }
}

const Instant = v.pipe(v.string(), v.isoTimestamp());
const UserId = v.pipe(v.string(), v.uuid(), v.toLowerCase());

const Command = v.variant('command', [
  v.pipe(
    v.strictObject({ command: v.literal('sweep'), scheduledAt: v.optional(Instant) }),
    v.transform(
      ({ scheduledAt = null }): SweepEvent => ({
        command: 'sweep',
        part: { role: 'first', scheduledAt, ageSeconds: 0, link: 0 },
      }),
    ),
  ),
  v.strictObject({ command: v.picklist(['refresh', 'show', 'explain']), userId: UserId }),
  v.strictObject({ command: v.picklist(['statistics', 'doctor']) }),
  v.strictObject({ command: v.literal('find'), email: v.pipe(v.string(), v.maxLength(254)) }),
  v.strictObject({
    command: v.literal('restore'),
    since: Instant,
    dryRun: v.optional(v.boolean(), false),
  }),
  v.strictObject({
    command: v.literal('try-secret'),
    secret: v.picklist(['spotify', 'supabase']),
    value: v.record(v.string(), v.string()),
  }),
]);

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
    return { command: 'sweep', part: { ...body, role: 'helper', ageSeconds } };
  }),
);

const Event: v.GenericSchema<unknown, SweepEvent> = v.union([
  Command,
  v.pipe(
    v.strictObject({ Records: v.strictTuple([QueueMessage]) }),
    v.transform(({ Records: [event] }) => event),
  ),
]);

/** Parses an event of the sweeper; throws an {@link UnexpectedEventError}. */
export function parseSweepEvent(event: unknown): SweepEvent {
  const parsed = v.safeParse(Event, event);
  if (!parsed.success) {
    throw new UnexpectedEventError();
  }
  return parsed.output;
}
