import type { FinishedSweep } from '../../../lambda/connection/connection-administration.ts';

/** How all connections stand where all is well. */
export const healthyStatistics: FinishedSweep = {
  schema_version: 1,
  connected: 7,
  expired: 0,
  oldest_overdue_seconds: 0,
  waiting_for_reauthorization: 0,
  reauthorizations_due: 0,
  implausible_expiries: 0,
  shared_tokens: 0,
  newly_missed_profile_changes: 0,
  breaker_open_seconds: null,
  nearly_all_revoked: false,
  not_before_in: null,
  seconds_since_last_sweep: 600,
};
