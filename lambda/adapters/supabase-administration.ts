import * as v from 'valibot';
import type {
  ConnectionAdministration,
  ConnectionStatistics,
  ExplainedConnection,
  FinishedSweep,
  ShownConnection,
} from '../connection/connection-administration.ts';
import type { SupabaseFunctions } from './supabase-functions.ts';

const TIMEOUT_MILLISECONDS = 10_000;

const ShownRow = v.looseObject({
  user_id: v.string(),
  state: v.picklist([
    'connected',
    'reauthorization_required',
    'disconnected',
    'never_connected',
    'unknown_user',
  ]),
});

const ExplainedRow = v.looseObject({
  ...ShownRow.entries,
  changes: v.array(v.object({ changed_at: v.string(), change: v.string(), reason: v.nullable(v.string()) })),
});

const StatisticsRow = v.looseObject({
  schema_version: v.number(),
  connected: v.number(),
  expired: v.number(),
  oldest_overdue_seconds: v.number(),
  waiting_for_reauthorization: v.number(),
  reauthorizations_due: v.number(),
  implausible_expiries: v.number(),
  shared_tokens: v.number(),
  breaker_open_seconds: v.nullable(v.number()),
  nearly_all_revoked: v.boolean(),
  not_before_in: v.nullable(v.number()),
  seconds_since_last_sweep: v.nullable(v.number()),
});

const FinishedSweepRow = v.looseObject({
  ...StatisticsRow.entries,
  newly_missed_profile_changes: v.number(),
});

/** All connections in Bondhu's Supabase project, through the functions of `supabase/migrations`. */
export class SupabaseAdministration implements ConnectionAdministration {
  readonly #functions: SupabaseFunctions;

  constructor(functions: SupabaseFunctions) {
    this.#functions = functions;
  }

  show(userId: string): Promise<ShownConnection> {
    return this.#functions.call('spotify_show_connection', ShownRow, TIMEOUT_MILLISECONDS, {
      for_user: userId,
    });
  }

  explain(userId: string): Promise<ExplainedConnection> {
    return this.#functions.call('spotify_explain_connection', ExplainedRow, TIMEOUT_MILLISECONDS, {
      for_user: userId,
    });
  }

  findUser(email: string): Promise<string | null> {
    return this.#functions.call('spotify_find_user', v.nullable(v.string()), TIMEOUT_MILLISECONDS, {
      email,
    });
  }

  statistics(): Promise<ConnectionStatistics> {
    return this.#functions.call('spotify_connection_stats', StatisticsRow, TIMEOUT_MILLISECONDS);
  }

  finishSweep(didItsWork: boolean): Promise<FinishedSweep> {
    return this.#functions.call('spotify_finish_sweep', FinishedSweepRow, TIMEOUT_MILLISECONDS, {
      did_its_work: didItsWork,
    });
  }

  restore(since: string, batchSize: number): Promise<number> {
    return this.#functions.call('spotify_restore_connections', v.number(), TIMEOUT_MILLISECONDS, {
      since,
      batch_size: batchSize,
    });
  }

  countRestorable(since: string): Promise<number> {
    return this.#functions.call('spotify_count_restorable', v.number(), TIMEOUT_MILLISECONDS, { since });
  }
}
