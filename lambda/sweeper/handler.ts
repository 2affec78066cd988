import middy from '@middy/core';
import type { Context } from 'aws-lambda';
import { Environment } from '../adapters/environment.ts';
import { PowertoolsLog } from '../adapters/powertools-log.ts';
import { createAdapters } from '../adapters/refresh-dependencies.ts';
import { EnvironmentVariables } from '../environment-variables.ts';
import { type RefreshUserResult, refreshUser } from './refresh-user.ts';
import { type SweepResult, sweep } from './sweep.ts';
import { parseSweepEvent } from './sweep-event.ts';

/** The sweep could not do its work; failing the invocation lets Lambda's retry and the alarms see it. */
class SweepFailedError extends Error {
  readonly code = 'SWEEP_FAILED';

  constructor(result: SweepResult) {
    super(
      `Spotify refuses our client or our requests: check the Spotify secret; sweep result ${JSON.stringify(result)}`,
    );
    this.name = 'SweepFailedError';
  }
}

const environment = new Environment(process.env);
const log = new PowertoolsLog('sweeper');
const { refresh, warmUp } = createAdapters(environment, log);
const sweepDependencies = {
  ...refresh,
  windowSeconds: environment.positiveInteger(EnvironmentVariables.sweepWindowSeconds),
  batchSize: environment.positiveInteger(EnvironmentVariables.sweepBatchSize),
};

/** The refresh-sweeper function: a sweep, or the refresh of one user; see `SweepEvent`. */
export const handler = middy<unknown, SweepResult | RefreshUserResult>()
  .before(({ context }) => log.startInvocation(context))
  .handler(async (payload, context: Context) => {
    const event = parseSweepEvent(payload);
    if (event.kind === 'refresh_user') {
      return refreshUser(event.userId, refresh);
    }
    const deadline = refresh.clock.monotonicMilliseconds() + context.getRemainingTimeInMillis();
    const result = await sweep(deadline, sweepDependencies);
    log[result.status === 'completed' ? 'info' : 'warn']('sweep finished', {
      ...result,
      scheduled_at: event.scheduledAt,
    });
    refresh.metrics.add({
      sweepRefreshed: result.refreshed,
      sweepFailed: result.failed,
      sweepRevoked: result.revoked,
      sweepThrottled: result.throttled,
      sweepStale: result.stale,
      sweepRemaining: result.remaining,
      sweepDurationMilliseconds: result.duration_ms,
      clientRejected: result.status === 'client_rejected' ? 1 : 0,
    });
    if (result.status === 'client_rejected') {
      throw new SweepFailedError(result);
    }
    return result;
  });

await warmUp();
