import type { ConnectionAdministration } from '../connection/connection-administration.ts';
import { describeFailure } from '../connection/operational-error.ts';
import { SecretError } from '../connection/secret-error.ts';
import type { SweepPart } from './fan-out.ts';
import { type SendEventsDependencies, sendEvents } from './send-events.ts';
import { type SweepDependencies, type SweepResult, sweep } from './sweep.ts';

/** Kept free at the end of an invocation to report, however long the events take. */
const REPORT_RESERVE_MILLISECONDS = 12_000;

/** What a sweep with everything around it works with. */
export type RunSweepDependencies = SweepDependencies &
  SendEventsDependencies & { readonly administration: Pick<ConnectionAdministration, 'finishSweep'> };

/** The result of a scheduled sweep that has not begun, because a secret is still empty. */
export type WaitingForSecrets = { readonly status: 'waiting_for_secrets' };

/**
 * Keeps a scheduled sweep from failing while a secret is as empty as the stack created it. That is expected between a
 * deployment and the filling of the secrets, and must raise no alarm: the sweep counts as finished. A sweep by hand goes
 * on and fails, so that its caller reads the reason.
 *
 * @returns null: there is nothing to wait for, or the sweep itself says what is wrong with the secrets
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
 * Sweeps; then, in the first invocation of a sweep, tells other teams whose connections need their users, and measures
 * how all connections stand. Neither of these two fails a sweep.
 *
 * @param deadline a moment of the monotonic clock at which the invocation ends
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
 * Not, when Spotify refuses our client or lets nobody call it while something is due: a refused client also holds
 * everybody back for a minute, so that the retry of such a sweep ends as throttled.
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
