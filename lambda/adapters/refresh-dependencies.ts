import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SQSClient } from '@aws-sdk/client-sqs';
import type { RefreshDependencies } from '../connection/refresh-connection.ts';
import { EnvironmentVariables } from '../environment-variables.ts';
import type { Environment } from './environment.ts';
import type { PowertoolsLog } from './powertools-log.ts';
import { PowertoolsMetrics } from './powertools-metrics.ts';
import {
  RESCUE_KEY,
  Secret,
  SPOTIFY_CLIENT,
  SUPABASE_CREDENTIALS,
  type SupabaseCredentials,
} from './secret.ts';
import { SpotifyTokenEndpoint } from './spotify-token-endpoint.ts';
import { SqsRescueQueue } from './sqs-rescue-queue.ts';
import { SupabaseConnectionStore } from './supabase-connection-store.ts';
import { systemClock } from './system-clock.ts';

/** Bounds of a call to an AWS service; the answer comes from within the region. */
const AWS_CLIENT = {
  maxAttempts: 2,
  requestHandler: { connectionTimeout: 1_000, requestTimeout: 2_000, throwOnRequestTimeout: true },
};

/** The real things that both functions refresh connections with. */
export type Adapters = {
  readonly refresh: RefreshDependencies;
  readonly supabaseSecret: Secret<SupabaseCredentials>;
  readonly sqs: SQSClient;
  /** Starts reading the secrets and resolves when that is over, whatever came of it: whoever needs one hears of a failure. */
  readonly warmUp: () => Promise<unknown>;
};

/** Composes what both functions need from their environment. Throws an EnvironmentError. */
export function createAdapters(environment: Environment, log: PowertoolsLog): Adapters {
  const metrics = new PowertoolsMetrics(environment.text(EnvironmentVariables.stackName));
  const client = new SecretsManagerClient(AWS_CLIENT);
  // The region's endpoint, or the one in the environment, rather than the host in a queue's address.
  const sqs = new SQSClient({ ...AWS_CLIENT, useQueueUrlAsEndpoint: false });
  const spotifySecret = new Secret(
    client,
    environment.text(EnvironmentVariables.spotifySecretArn),
    SPOTIFY_CLIENT,
    systemClock,
  );
  const supabaseSecret = new Secret(
    client,
    environment.text(EnvironmentVariables.supabaseSecretArn),
    SUPABASE_CREDENTIALS,
    systemClock,
  );
  const rescueKey = new Secret(
    client,
    environment.text(EnvironmentVariables.rescueKeyArn),
    RESCUE_KEY,
    systemClock,
  );
  return {
    refresh: {
      store: new SupabaseConnectionStore(
        environment.url(EnvironmentVariables.supabaseUrl),
        supabaseSecret,
        systemClock,
        metrics,
      ),
      rescueQueue: new SqsRescueQueue(sqs, environment.url(EnvironmentVariables.rescueQueueUrl), rescueKey),
      tokenEndpoint: new SpotifyTokenEndpoint(
        environment.url(EnvironmentVariables.spotifyTokenUrl),
        spotifySecret,
      ),
      clock: systemClock,
      random: Math.random,
      log,
      metrics,
    },
    supabaseSecret,
    sqs,
    warmUp: () => Promise.allSettled([spotifySecret.read(), supabaseSecret.read(), rescueKey.read()]),
  };
}
