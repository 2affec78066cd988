import * as v from 'valibot';
import type { Notice, NoticeStore } from '../connection/notice.ts';
import type { SupabaseFunctions } from './supabase-functions.ts';

const Common = { id: v.string(), user_id: v.string() };

const NoticeRow = v.variant('kind', [
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

/** Notices in Bondhu's Supabase project. */
export class SupabaseNoticeStore implements NoticeStore {
  readonly #functions: SupabaseFunctions;

  constructor(functions: SupabaseFunctions) {
    this.#functions = functions;
  }

  async pending(batchSize: number, timeoutMilliseconds: number): Promise<readonly Notice[]> {
    const rows = await this.#functions.call(
      'spotify_pending_notices',
      v.array(NoticeRow),
      timeoutMilliseconds,
      { batch_size: batchSize },
    );
    return rows.map(toEvent);
  }

  recordSent(notices: readonly Notice[], timeoutMilliseconds: number): Promise<number> {
    return this.#functions.call('spotify_record_notices', v.number(), timeoutMilliseconds, {
      notices: notices.map(toRow),
    });
  }
}

function toEvent(row: v.InferOutput<typeof NoticeRow>): Notice {
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

function toRow(notice: Notice) {
  return {
    kind: notice.kind,
    user_id: notice.userId,
    ...(notice.kind === 'required'
      ? { since: notice.since }
      : { connected_at: notice.connectedAt, days: notice.days }),
  };
}
