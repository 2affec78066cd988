import * as v from 'valibot';
import type {
  ConnectionAdministration,
  ShownConnection,
  ShownStatistics,
} from '../connection/connection-administration.ts';
import type { SupabaseFunctions } from './supabase-functions.ts';

const TIMEOUT_MILLISECONDS = 10_000;

const Shown = v.looseObject({
  user_id: v.string(),
  state: v.picklist([
    'connected',
    'reauthorization_required',
    'disconnected',
    'never_connected',
    'unknown_user',
  ]),
});

const Statistics = v.looseObject({
  schema_version: v.number(),
  not_before_in: v.nullable(v.number()),
  connected: v.number(),
  implausible_expiries: v.number(),
  shared_tokens: v.number(),
  seconds_since_last_sweep: v.nullable(v.number()),
});

/** Operators' functions in Bondhu's Supabase project. */
export class SupabaseAdministration implements ConnectionAdministration {
  readonly #functions: SupabaseFunctions;

  constructor(functions: SupabaseFunctions) {
    this.#functions = functions;
  }

  show(userId: string): Promise<ShownConnection> {
    return this.#functions.call('spotify_show_connection', Shown, TIMEOUT_MILLISECONDS, { for_user: userId });
  }

  statistics(): Promise<ShownStatistics> {
    return this.#functions.call('spotify_connection_stats', Statistics, TIMEOUT_MILLISECONDS);
  }

  restore(since: string, batchSize: number): Promise<number> {
    return this.#functions.call('spotify_restore_connections', v.number(), TIMEOUT_MILLISECONDS, {
      since,
      batch_size: batchSize,
    });
  }
}
