import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SQSClient } from '@aws-sdk/client-sqs';
import type { RefreshDependencies } from '../connection/refresh-connection.ts';
import type { ClientCheck } from '../connection/token-endpoint.ts';
import { EnvironmentVariables } from '../environment-variables.ts';
import type { Environment } from './environment.ts';
import type { PowertoolsLog } from './powertools-log.ts';
import { PowertoolsMetrics } from './powertools-metrics.ts';
import {
  RESCUE_KEY,
  type RescueKey,
  Secret,
  type SecretFormat,
  SPOTIFY_CLIENT,
  type SpotifyClient,
  SUPABASE_CREDENTIALS,
  type SupabaseCredentials,
} from './secret.ts';
import { SpotifyTokenEndpoint } from './spotify-token-endpoint.ts';
import { SqsRescueQueue } from './sqs-rescue-queue.ts';
import { SupabaseConnectionStore } from './supabase-connection-store.ts';
import { SupabaseFunctions } from './supabase-functions.ts';
import { systemClock } from './system-clock.ts';

/** Bounds of a call to an AWS service; the answer comes from within the region. */
export const AWS_CLIENT = {
  maxAttempts: 2,
  requestHandler: { connectionTimeout: 1_000, requestTimeout: 2_000, throwOnRequestTimeout: true },
};

/** The real things that both functions refresh connections with. */
export type Adapters = {
  readonly refresh: RefreshDependencies;
  readonly supabase: SupabaseFunctions;
  readonly clientCheck: ClientCheck;
  readonly secrets: {
    readonly spotify: Secret<SpotifyClient>;
    readonly supabase: Secret<SupabaseCredentials>;
    readonly rescueKey: Secret<RescueKey>;
  };
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
  const secret = <Value>(variable: string, format: SecretFormat<Value>) =>
    new Secret(client, environment.text(variable), format, systemClock);
  const secrets = {
    spotify: secret(EnvironmentVariables.spotifySecretArn, SPOTIFY_CLIENT),
    supabase: secret(EnvironmentVariables.supabaseSecretArn, SUPABASE_CREDENTIALS),
    rescueKey: secret(EnvironmentVariables.rescueKeyArn, RESCUE_KEY),
  };
  const supabase = new SupabaseFunctions(
    environment.url(EnvironmentVariables.supabaseUrl),
    secrets.supabase,
    metrics,
  );
  const tokenEndpoint = new SpotifyTokenEndpoint(
    environment.url(EnvironmentVariables.spotifyTokenUrl),
    secrets.spotify,
  );
  return {
    refresh: {
      store: new SupabaseConnectionStore(supabase, systemClock),
      rescueQueue: new SqsRescueQueue(
        sqs,
        environment.url(EnvironmentVariables.rescueQueueUrl),
        secrets.rescueKey,
      ),
      tokenEndpoint,
      clock: systemClock,
      random: Math.random,
      log,
      metrics,
    },
    supabase,
    clientCheck: tokenEndpoint,
    secrets,
    sqs,
    warmUp: () => Promise.allSettled(Object.values(secrets).map((secret) => secret.read())),
  };
}
