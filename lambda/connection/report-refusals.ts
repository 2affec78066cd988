import type { Refusal } from './connection-store.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';

/** Logs the users whose tokens Bondhu's schema rejected, with the cause. */
export function reportRefusals(
  refusals: readonly Refusal[],
  { log, metrics }: { readonly log: Log; readonly metrics: Metrics },
): void {
  for (const { userId, code, constraint } of refusals) {
    log.error('profile refuses its tokens', { user_id: userId, sql_state: code, constraint });
  }
  if (refusals.length > 0) {
    metrics.add({ profilesRefused: refusals.length });
  }
}
