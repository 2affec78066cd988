import type { ConnectionAdministration } from '../connection/connection-administration.ts';
import { describeFailure } from '../connection/operational-error.ts';
import { SecretError } from '../connection/secret-error.ts';
import type { SweepPart } from './fan-out.ts';
import { type SendEventsDependencies, sendEvents } from './send-events.ts';
import { type SweepDependencies, type SweepResult, sweep } from './sweep.ts';

/** Reserved at the end of an invocation to report, however long the events take. */
const REPORT_RESERVE_MILLISECONDS = 12_000;

/** The dependencies of a whole sweep. */
export type RunSweepDependencies = SweepDependencies &
  SendEventsDependencies & { readonly administration: Pick<ConnectionAdministration, 'finishSweep'> };

/** The result of a scheduled sweep that did not start because a secret is still empty. */
export type WaitingForSecrets = { readonly status: 'waiting_for_secrets' };

/**
 * Keeps a scheduled sweep from failing while a secret is empty. That is expected between a
 * deployment and the filling of the secrets, and must raise no alarm: the sweep counts as finished. A manual sweep goes
 * on and fails, so that its caller sees the reason.
 *
 * @returns null: there is nothing to wait for, or the sweep itself reports the problem with the secrets
 */
export async function waitForSecrets(
  { scheduledAt }: SweepPart,
  secrets: readonly { read(): Promise<unknown> }[],
  { log, metrics }: Pick<RunSweepDependencies, 'log' | 'metrics'>,
): Promise<WaitingForSecrets | null> {
  if (scheduledAt === null) return null;
  const reads = await Promise.allSettled(secrets.map((secret) => secret.read()));
  const empty = reads.find(
    (read) =>
      read.status === 'rejected' &&
      read.reason instanceof SecretError &&
      read.reason.code === 'SECRET_NOT_FILLED_IN',
  );
  if (empty?.status !== 'rejected') return null;
  log.info('waiting for secrets', describeFailure(empty.reason));
  metrics.add({ scheduledSweepFinished: 1 });
  return { status: 'waiting_for_secrets' };
}

/**
 * Sweeps. The first invocation of a sweep then sends the events to other teams, and measures
 * the state of all connections. If either fails, the sweep still succeeds.
 *
 * @param deadline a time of the monotonic clock at which the invocation ends
 * @returns what this invocation did; rejects as {@link sweep} does
 */
export async function runSweep(
  part: SweepPart,
  deadline: number,
  dependencies: RunSweepDependencies,
): Promise<SweepResult> {
  const result = await sweep(part, deadline, dependencies);
  if (part.role === 'first') {
    await sendEvents(deadline - REPORT_RESERVE_MILLISECONDS, dependencies);
    await measureConnections(didItsWork(result), dependencies);
  }
  report(part, result, dependencies);
  return result;
}

/**
 * False if Spotify rejects our client or allows no calls while connections are due: a rejected client also pauses
 * all functions for a minute, so the retry of such a sweep ends as throttled.
 */
function didItsWork({ status, refreshed, remaining }: SweepResult): boolean {
  const wasHeldBack = status === 'throttled' && refreshed === 0 && remaining > 0;
  return status !== 'client_rejected' && !wasHeldBack;
}

async function measureConnections(
  didItsWork: boolean,
  { administration, log, metrics }: RunSweepDependencies,
): Promise<void> {
  try {
    const statistics = await administration.finishSweep(didItsWork);
    if (statistics.nearly_all_revoked) {
      log.error(
        "Spotify refuses nearly every grant, so no user is told to reconnect: compare the Spotify secret with the app's credentials",
        { connected: statistics.connected },
      );
    }
    metrics.add({
      connected: statistics.connected,
      expired: statistics.expired,
      oldestOverdueSeconds: statistics.oldest_overdue_seconds,
      reauthorizationRequired: statistics.waiting_for_reauthorization,
      reauthorizationsDue: statistics.reauthorizations_due,
      implausibleExpiries: statistics.implausible_expiries,
      sharedTokens: statistics.shared_tokens,
      missedProfileChanges: statistics.newly_missed_profile_changes,
      breakerOpen: statistics.breaker_open_seconds === null ? 0 : 1,
      nearlyAllRevoked: statistics.nearly_all_revoked ? 1 : 0,
    });
  } catch (error) {
    log.warn('connections not measured', describeFailure(error));
  }
}

function report(part: SweepPart, result: SweepResult, { log, metrics }: RunSweepDependencies): void {
  const { status } = result;
  log[status === 'completed' ? 'info' : 'warn']('sweep finished', {
    ...result,
    scheduled_at: part.scheduledAt,
    role: part.role,
    link: part.link,
  });
  const isOfSchedule = part.role === 'first' && part.scheduledAt !== null;
  metrics.add({
    sweepRefreshed: result.refreshed,
    sweepFailed: result.failed,
    sweepRevoked: result.revoked,
    sweepThrottled: result.throttled,
    sweepStale: result.stale,
    sweepRemaining: result.remaining,
    sweepDurationMilliseconds: result.duration_ms,
    clientRejected: status === 'client_rejected' ? 1 : 0,
    ...(isOfSchedule && didItsWork(result) && { scheduledSweepFinished: 1 }),
  });
}
