import type { Clock } from './clock.ts';
import type { ConnectionStore, RecordedVerdict } from './connection-store.ts';
import { type ExchangePolicy, exchange } from './exchange.ts';
import type { Lease } from './lease.ts';
import type { Log } from './log.ts';
import { logRefresh } from './log-refresh.ts';
import type { Metrics } from './metrics.ts';
import { recordOrRescue } from './record-or-rescue.ts';
import { recordOutcomes } from './record-outcomes.ts';
import { type RefreshOutcome, toOutcome } from './refresh-outcome.ts';
import type { RescueQueue } from './rescue-queue.ts';
import type { TokenAnswer, TokenEndpoint } from './token-endpoint.ts';

/** What refreshing works with. */
export type RefreshDependencies = {
  readonly store: ConnectionStore;
  readonly rescueQueue: RescueQueue;
  readonly tokenEndpoint: TokenEndpoint;
  readonly clock: Clock;
  /** A number from 0 up to, not including, 1; spreads retries. */
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: Metrics;
};

/** The result of refreshing one connection: Spotify's answer (null: not asked), its meaning, and what was written. */
export type Refresh = {
  readonly answer: TokenAnswer | null;
  readonly outcome: RefreshOutcome;
  readonly verdict: RecordedVerdict;
};

/**
 * Refreshes one leased connection and records the outcome.
 *
 * @param deadline a time of the monotonic clock by which it ends
 * @returns the result; rejects with a SecretError if Spotify's credentials cannot be read, after it has returned the lease
 */
export async function refreshConnection(
  lease: Lease,
  policy: ExchangePolicy,
  deadline: number,
  dependencies: RefreshDependencies,
): Promise<Refresh> {
  const { store, tokenEndpoint, clock, random, log } = dependencies;
  const answer = await exchange(lease, policy, deadline, tokenEndpoint, clock, random).catch(
    async (error) => {
      await recordOutcomes([{ lease, outcome: { kind: 'released' } }], deadline, store, clock);
      throw error;
    },
  );
  const outcome = toOutcome(answer, lease.failures, random());
  if (outcome.kind === 'client_rejected') {
    dependencies.metrics.add({ clientRejected: 1 });
  }
  const { verdicts } = await recordOrRescue([{ lease, outcome }], deadline, dependencies);
  const verdict = verdicts.get(lease.leaseId) ?? 'unsettled';
  logRefresh(log, lease, answer, verdict, 'info');
  return { answer, outcome, verdict };
}
