import { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import middy from '@middy/core';
import { Environment } from '../adapters/environment.ts';
import { EventBridgeNoticeBus } from '../adapters/event-bridge-notice-bus.ts';
import { PowertoolsLog } from '../adapters/powertools-log.ts';
import { AWS_CLIENT, createAdapters } from '../adapters/refresh-dependencies.ts';
import { SqsSweepQueue } from '../adapters/sqs-sweep-queue.ts';
import { SupabaseAdministration } from '../adapters/supabase-administration.ts';
import { SupabaseConnectionMonitor } from '../adapters/supabase-connection-monitor.ts';
import { SupabaseNoticeStore } from '../adapters/supabase-notice-store.ts';
import { EnvironmentVariables } from '../environment-variables.ts';
import { type DiagnoseDependencies, diagnose } from './diagnose.ts';
import { refreshUser } from './refresh-user.ts';
import { restoreConnections } from './restore-connections.ts';
import { type RunSweepDependencies, runSweep } from './run-sweep.ts';
import type { SweepResult } from './sweep.ts';
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
const { refresh, supabase, sqs, warmUp } = createAdapters(environment, log);
const timeoutSeconds = environment.positiveInteger(EnvironmentVariables.sweeperTimeoutSeconds);
const intervalSeconds = environment.positiveInteger(EnvironmentVariables.sweepIntervalSeconds);
const administration = new SupabaseAdministration(supabase);
const sweepDependencies: RunSweepDependencies = {
  ...refresh,
  windowSeconds: environment.positiveInteger(EnvironmentVariables.sweepWindowSeconds),
  batchSize: environment.positiveInteger(EnvironmentVariables.sweepBatchSize),
  callsPerSecond: environment.optionalPositiveInteger(EnvironmentVariables.spotifyCallsPerSecond),
  sweepQueue: new SqsSweepQueue(sqs, environment.url(EnvironmentVariables.sweepQueueUrl)),
  connectionsPerInvocation: environment.positiveInteger(EnvironmentVariables.sweepConnectionsPerInvocation),
  intervalSeconds,
  monitor: new SupabaseConnectionMonitor(supabase),
  noticeStore: new SupabaseNoticeStore(supabase),
  noticeBus: new EventBridgeNoticeBus(
    new EventBridgeClient(AWS_CLIENT),
    environment.text(EnvironmentVariables.eventBus),
    environment.text(EnvironmentVariables.stackName),
  ),
};

/** The refresh-sweeper function: a sweep, a part of one, or what operators ask for; see `SweepEvent`. */
export const handler = middy<unknown, unknown>()
  .before(({ context }) => log.startInvocation(context))
  .handler(async (payload) => {
    const event = parseSweepEvent(payload);
    switch (event.kind) {
      case 'sweep':
        return sweepOrFail(event.part);
      case 'refresh_user':
        return refreshUser(event.userId, refresh);
      case 'show':
        return administration.show(event.userId);
      case 'statistics':
        return administration.statistics();
      case 'restore':
        return restoreConnections(event.since, { administration, log });
      case 'doctor':
        return diagnose(createDiagnosis());
    }
  });

async function sweepOrFail(part: Parameters<typeof runSweep>[0]): Promise<SweepResult> {
  // Not what the context says is left, which goes by a clock that may be wrong.
  const deadline = refresh.clock.monotonicMilliseconds() + timeoutSeconds * 1_000;
  const result = await runSweep(part, deadline, sweepDependencies);
  if (result.status === 'client_rejected') {
    throw new SweepFailedError(result);
  }
  return result;
}

/** Adapters of its own, which have read nothing yet: what counts is what the next instance will find. */
function createDiagnosis(): DiagnoseDependencies {
  const fresh = createAdapters(environment, log);
  return {
    secrets: {
      spotify_secret: fresh.secrets.spotify,
      supabase_secret: fresh.secrets.supabase,
      rescue_key: fresh.secrets.rescueKey,
    },
    administration: new SupabaseAdministration(fresh.supabase),
    clientCheck: fresh.clientCheck,
    longestSweepGapSeconds: intervalSeconds + timeoutSeconds,
  };
}

await warmUp();
