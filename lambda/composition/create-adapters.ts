import { AwsService } from '../adapters/aws-service.ts';
import type { PowertoolsLog } from '../adapters/powertools-log.ts';
import { PowertoolsMetrics } from '../adapters/powertools-metrics.ts';
import {
  RESCUE_KEY,
  type RescueKey,
  Secret,
  type SecretFormat,
  SPOTIFY_CLIENT,
  type SpotifyClient,
  SUPABASE_CREDENTIALS,
  type SupabaseCredentials,
} from '../adapters/secret.ts';
import { SpotifyTokenEndpoint } from '../adapters/spotify-token-endpoint.ts';
import { SqsRescueQueue } from '../adapters/sqs-rescue-queue.ts';
import { SupabaseConnectionStore } from '../adapters/supabase-connection-store.ts';
import { SupabaseFunctions } from '../adapters/supabase-functions.ts';
import { systemClock } from '../adapters/system-clock.ts';
import type { RefreshDependencies } from '../connection/refresh-connection.ts';
import type { ClientCheck } from '../connection/token-endpoint.ts';
import type { RefreshEnvironment } from './environment.ts';

/** The real adapters of both functions. */
export type Adapters = {
  readonly refresh: RefreshDependencies;
  readonly sqs: AwsService;
  readonly supabase: SupabaseFunctions;
  readonly clientCheck: ClientCheck;
  readonly secrets: {
    readonly spotify: Secret<SpotifyClient>;
    readonly supabase: Secret<SupabaseCredentials>;
    readonly rescueKey: Secret<RescueKey>;
  };
  /**
   * Reads Supabase's key, which every answer needs, and then starts to read the other secrets. Resolves after the first
   * read, even if it failed: code that needs a secret gets the failure.
   */
  readonly warmUp: () => Promise<unknown>;
};

/** Creates the adapters that both functions need, from their environment. */
export function createAdapters(environment: RefreshEnvironment, log: PowertoolsLog): Adapters {
  const metrics = new PowertoolsMetrics(environment.STACK_NAME);
  const secretsManager = new AwsService('secretsmanager', process.env);
  const sqs = new AwsService('sqs', process.env);
  const createSecret = <Value>(arn: string, format: SecretFormat<Value>) =>
    new Secret(secretsManager, arn, format, systemClock);
  const secrets = {
    spotify: createSecret(environment.SPOTIFY_SECRET_ARN, SPOTIFY_CLIENT),
    supabase: createSecret(environment.SUPABASE_SECRET_ARN, SUPABASE_CREDENTIALS),
    rescueKey: createSecret(environment.RESCUE_KEY_ARN, RESCUE_KEY),
  };
  const supabase = new SupabaseFunctions(environment.SUPABASE_URL, secrets.supabase, metrics);
  const tokenEndpoint = new SpotifyTokenEndpoint(environment.SPOTIFY_TOKEN_URL, secrets.spotify);
  return {
    refresh: {
      store: new SupabaseConnectionStore(supabase, systemClock),
      rescueQueue: new SqsRescueQueue(sqs, environment.RESCUE_QUEUE_URL, secrets.rescueKey),
      tokenEndpoint,
      clock: systemClock,
      random: Math.random,
      log,
      metrics,
    },
    sqs,
    supabase,
    clientCheck: tokenEndpoint,
    secrets,
    warmUp: async () => {
      await Promise.allSettled([secrets.supabase.read()]);
      void Promise.allSettled([secrets.spotify.read(), secrets.rescueKey.read()]);
    },
  };
}
