import middy from '@middy/core';
import * as v from 'valibot';
import { AwsService } from '../adapters/aws-service.ts';
import { EventBridgeBus } from '../adapters/event-bridge-bus.ts';
import { PowertoolsLog } from '../adapters/powertools-log.ts';
import { holdValue, SPOTIFY_CLIENT, SUPABASE_CREDENTIALS } from '../adapters/secret.ts';
import { SpotifyTokenEndpoint } from '../adapters/spotify-token-endpoint.ts';
import { SqsSweepQueue } from '../adapters/sqs-sweep-queue.ts';
import { SupabaseAdministration } from '../adapters/supabase-administration.ts';
import { readPublishedTokens } from '../adapters/supabase-discovery.ts';
import { SupabaseEventStore } from '../adapters/supabase-event-store.ts';
import { SupabaseFunctions } from '../adapters/supabase-functions.ts';
import { createAdapters } from '../composition/create-adapters.ts';
import { parseEnvironment, SweeperEnvironment } from '../composition/environment.ts';
import { logInvocations } from '../composition/log-invocations.ts';
import { type DiagnoseDependencies, diagnose } from './diagnose.ts';
import type { SweepPart } from './fan-out.ts';
import { refreshUser } from './refresh-user.ts';
import { restoreConnections } from './restore-connections.ts';
import { type RunSweepDependencies, runSweep, type WaitingForSecrets, waitForSecrets } from './run-sweep.ts';
import type { SweepResult } from './sweep.ts';
import { parseSweepEvent, type SweepEvent, UnexpectedEventError } from './sweep-event.ts';
import { type SecretTrial, trySpotifyClient, trySupabaseKey } from './try-secret.ts';

/** The sweep could not do its work. Failing the invocation triggers Lambda's retry and the alarms. */
class SweepFailedError extends Error {
  override readonly name = 'SweepFailedError';
  readonly code = 'SWEEP_FAILED';

  constructor(result: SweepResult) {
    super(
      `Spotify refuses our client or our requests: run "npm run operate -- doctor --stage <stage>", and if it is the Spotify secret, "fill-secret spotify"; sweep result ${JSON.stringify(result)}`,
    );
  }
}

const environment = parseEnvironment(SweeperEnvironment, process.env);
const log = new PowertoolsLog('sweeper');
const { refresh, sqs, supabase, secrets, warmUp } = createAdapters(environment, log);
const administration = new SupabaseAdministration(supabase);
const sweepDependencies: RunSweepDependencies = {
  ...refresh,
  windowSeconds: environment.SWEEP_WINDOW_SECONDS,
  batchSize: environment.SWEEP_BATCH_SIZE,
  callsPerSecond: environment.SPOTIFY_CALLS_PER_SECOND ?? null,
  sweepQueue: new SqsSweepQueue(sqs, environment.SWEEP_QUEUE_URL),
  connectionsPerInvocation: environment.SWEEP_CONNECTIONS_PER_INVOCATION,
  intervalSeconds: environment.SWEEP_INTERVAL_SECONDS,
  administration,
  eventStore: new SupabaseEventStore(supabase),
  eventBus: new EventBridgeBus(
    new AwsService('events', process.env),
    environment.EVENT_BUS,
    environment.STACK_NAME,
  ),
};

/** The refresh-sweeper function: a sweep, a part of one, or an operator's command; see `SweepEvent`. */
export const handler = middy<unknown, unknown>()
  .use(logInvocations(log))
  .handler(async (payload) => {
    const event = parseSweepEvent(payload);
    switch (event.command) {
      case 'sweep':
        return sweepOrFail(event.part);
      case 'refresh':
        return refreshUser(event.userId, refresh);
      case 'show':
        return administration.show(event.userId);
      case 'explain':
        return administration.explain(event.userId);
      case 'find':
        return { user_id: await administration.findUser(event.email) };
      case 'statistics':
        return administration.statistics();
      case 'restore':
        return event.dryRun
          ? { restorable: await administration.countRestorable(event.since) }
          : restoreConnections(event.since, { administration, log });
      case 'try-secret':
        return trySecret(event);
      case 'doctor':
        return diagnose(createDiagnosis());
    }
  });

async function sweepOrFail(part: SweepPart): Promise<SweepResult | WaitingForSecrets> {
  const waiting = await waitForSecrets(part, [secrets.spotify, secrets.supabase], refresh);
  if (waiting !== null) return waiting;
  // Not the context's remaining time, which depends on a clock that may be wrong.
  const deadline = refresh.clock.monotonicMilliseconds() + environment.SWEEPER_TIMEOUT_SECONDS * 1_000;
  const result = await runSweep(part, deadline, sweepDependencies);
  if (result.status === 'client_rejected') {
    throw new SweepFailedError(result);
  }
  return result;
}

/** Fresh adapters that have read nothing yet: the question is what the next instance will find. */
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
    readPublishedTokens: () => readPublishedTokens(environment.SUPABASE_URL),
    hasSharedSecret: async () => (await fresh.secrets.supabase.read()).jwt_secret !== undefined,
    tokenIssuers: environment.SUPABASE_TOKEN_ISSUERS,
    longestSweepGapSeconds: environment.SWEEP_INTERVAL_SECONDS + environment.SWEEPER_TIMEOUT_SECONDS,
  };
}

/** Keeps, counts and logs nothing: the value is not the stage's own yet. */
function trySecret({ secret, value }: Extract<SweepEvent, { command: 'try-secret' }>): Promise<SecretTrial> {
  const { secrets } = createAdapters(environment, log);
  if (secret === 'spotify') {
    const client = parseCandidate(SPOTIFY_CLIENT.schema, value);
    const endpoint = new SpotifyTokenEndpoint(environment.SPOTIFY_TOKEN_URL, holdValue(client));
    return trySpotifyClient(client, secrets.spotify, endpoint);
  }
  const credentials = parseCandidate(SUPABASE_CREDENTIALS.schema, value);
  const supabase = new SupabaseFunctions(environment.SUPABASE_URL, holdValue(credentials), { add: () => {} });
  return trySupabaseKey(credentials, secrets.supabase, new SupabaseAdministration(supabase));
}

function parseCandidate<Value>(schema: v.GenericSchema<unknown, Value>, value: object): Value {
  const parsed = v.safeParse(schema, value);
  if (!parsed.success) throw new UnexpectedEventError();
  return parsed.output;
}

await warmUp();
