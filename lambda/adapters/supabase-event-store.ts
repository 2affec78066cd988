import * as v from 'valibot';
import type { ReauthorizationEvent, ReauthorizationEventStore } from '../connection/reauthorization-event.ts';
import type { SupabaseFunctions } from './supabase-functions.ts';

const Common = { id: v.string(), user_id: v.string() };

const EventRow = v.variant('kind', [
  v.object({
    kind: v.literal('required'),
    ...Common,
    since: v.string(),
    reason: v.picklist(['grant_revoked', 'no_refresh_token']),
  }),
  v.object({
    kind: v.literal('due'),
    ...Common,
    connected_at: v.string(),
    reauthorize_by: v.string(),
    days: v.number(),
  }),
]);

/** Reauthorization events in Bondhu's Supabase project. */
export class SupabaseEventStore implements ReauthorizationEventStore {
  readonly #functions: SupabaseFunctions;

  constructor(functions: SupabaseFunctions) {
    this.#functions = functions;
  }

  async pending(batchSize: number, timeoutMilliseconds: number): Promise<readonly ReauthorizationEvent[]> {
    const rows = await this.#functions.call(
      'spotify_pending_events',
      v.array(EventRow),
      timeoutMilliseconds,
      { batch_size: batchSize },
    );
    return rows.map(toEvent);
  }

  recordSent(events: readonly ReauthorizationEvent[], timeoutMilliseconds: number): Promise<number> {
    return this.#functions.call('spotify_record_events', v.number(), timeoutMilliseconds, {
      events: events.map(toRow),
    });
  }
}

function toEvent(row: v.InferOutput<typeof EventRow>): ReauthorizationEvent {
  const common = { id: row.id, userId: row.user_id };
  return row.kind === 'required'
    ? { ...common, kind: row.kind, since: row.since, reason: row.reason }
    : {
        ...common,
        kind: row.kind,
        connectedAt: row.connected_at,
        reauthorizeBy: row.reauthorize_by,
        days: row.days,
      };
}

function toRow(event: ReauthorizationEvent) {
  return {
    kind: event.kind,
    user_id: event.userId,
    ...(event.kind === 'required'
      ? { since: event.since }
      : { connected_at: event.connectedAt, days: event.days }),
  };
}
