import middy from '@middy/core';
import { Environment } from '../adapters/environment.ts';
import { PowertoolsLog } from '../adapters/powertools-log.ts';
import { createAdapters } from '../adapters/refresh-dependencies.ts';
import { SqsSweepQueue } from '../adapters/sqs-sweep-queue.ts';
import { EnvironmentVariables } from '../environment-variables.ts';
import { type RefreshUserResult, refreshUser } from './refresh-user.ts';
import { type SweepDependencies, type SweepResult, sweep } from './sweep.ts';
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
const { refresh, sqs, warmUp } = createAdapters(environment, log);
const timeoutSeconds = environment.positiveInteger(EnvironmentVariables.sweeperTimeoutSeconds);
const sweepDependencies: SweepDependencies = {
  ...refresh,
  windowSeconds: environment.positiveInteger(EnvironmentVariables.sweepWindowSeconds),
  batchSize: environment.positiveInteger(EnvironmentVariables.sweepBatchSize),
  callsPerSecond: environment.optionalPositiveInteger(EnvironmentVariables.spotifyCallsPerSecond),
  sweepQueue: new SqsSweepQueue(sqs, environment.url(EnvironmentVariables.sweepQueueUrl)),
  connectionsPerInvocation: environment.positiveInteger(EnvironmentVariables.sweepConnectionsPerInvocation),
  intervalSeconds: environment.positiveInteger(EnvironmentVariables.sweepIntervalSeconds),
};

/** The refresh-sweeper function: a sweep, a part of one, or the refresh of one user; see `SweepEvent`. */
export const handler = middy<unknown, SweepResult | RefreshUserResult>()
  .before(({ context }) => log.startInvocation(context))
  .handler(async (payload) => {
    const event = parseSweepEvent(payload);
    if (event.kind === 'refresh_user') {
      return refreshUser(event.userId, refresh);
    }
    // Not what the context says is left, which goes by a clock that may be wrong.
    const deadline = refresh.clock.monotonicMilliseconds() + timeoutSeconds * 1_000;
    const result = await sweep(event.part, deadline, sweepDependencies);
    log[result.status === 'completed' ? 'info' : 'warn']('sweep finished', {
      ...result,
      scheduled_at: event.part.scheduledAt,
      role: event.part.role,
      link: event.part.link,
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
