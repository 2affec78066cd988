import * as v from 'valibot';

/** What the sweeper can be asked to do. */
export type SweepEvent =
  | {
      readonly kind: 'sweep' /** When the schedule meant it to run; null for a sweep by hand. */;
      readonly scheduledAt: string | null;
    }
  | { readonly kind: 'refresh_user'; readonly userId: string };

/** An event that the sweeper does not understand; nothing was done. */
export class UnexpectedEventError extends Error {
  readonly code = 'EVENT_UNEXPECTED';

  constructor() {
    super(
      'the sweeper takes {"sweep": {"scheduledAt": "<ISO 8601 time>"}} from the schedule, {} for a sweep by hand, ' +
        'or {"userId": "<uuid>"} to refresh one user; this event is none of them',
    );
    this.name = 'UnexpectedEventError';
  }
}

const Event = v.union([
  v.pipe(
    v.strictObject({ sweep: v.strictObject({ scheduledAt: v.pipe(v.string(), v.isoTimestamp()) }) }),
    v.transform(({ sweep }): SweepEvent => ({ kind: 'sweep', scheduledAt: sweep.scheduledAt })),
  ),
  v.pipe(
    v.strictObject({ userId: v.pipe(v.string(), v.uuid()) }),
    v.transform(({ userId }): SweepEvent => ({ kind: 'refresh_user', userId: userId.toLowerCase() })),
  ),
  v.pipe(
    v.custom<object>((event) => !Array.isArray(event)),
    v.strictObject({}),
    v.transform((): SweepEvent => ({ kind: 'sweep', scheduledAt: null })),
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
