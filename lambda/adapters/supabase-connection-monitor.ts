import * as v from 'valibot';
import type { ConnectionMonitor, ConnectionStatistics } from '../connection/connection-monitor.ts';
import type { SupabaseFunctions } from './supabase-functions.ts';

const TIMEOUT_MILLISECONDS = 10_000;

const StatisticsRow = v.object({
  connected: v.number(),
  expired: v.number(),
  oldest_overdue_seconds: v.number(),
  waiting_for_reauthorization: v.number(),
  reauthorizations_due: v.number(),
  implausible_expiries: v.number(),
  shared_tokens: v.number(),
  newly_missed_profile_changes: v.number(),
  breaker_open_seconds: v.nullable(v.number()),
  nearly_all_refused: v.boolean(),
});

/** All connections in Bondhu's Supabase project. */
export class SupabaseConnectionMonitor implements ConnectionMonitor {
  readonly #functions: SupabaseFunctions;

  constructor(functions: SupabaseFunctions) {
    this.#functions = functions;
  }

  async finishSweep(didItsWork: boolean): Promise<ConnectionStatistics> {
    const row = await this.#functions.call('spotify_finish_sweep', StatisticsRow, TIMEOUT_MILLISECONDS, {
      did_its_work: didItsWork,
    });
    return {
      connected: row.connected,
      expired: row.expired,
      oldestOverdueSeconds: row.oldest_overdue_seconds,
      reauthorizationRequired: row.waiting_for_reauthorization,
      reauthorizationsDue: row.reauthorizations_due,
      implausibleExpiries: row.implausible_expiries,
      sharedTokens: row.shared_tokens,
      missedProfileChanges: row.newly_missed_profile_changes,
      breakerIsOpen: row.breaker_open_seconds !== null,
      nearlyAllRefused: row.nearly_all_refused,
    };
  }
}
