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
  breaker_open_seconds: v.nullable(v.number()),
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
      breakerIsOpen: row.breaker_open_seconds !== null,
    };
  }
}
