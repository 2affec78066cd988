import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import type { RefreshDependencies } from '../connection/refresh-connection.ts';
import { EnvironmentVariables } from '../environment-variables.ts';
import type { Environment } from './environment.ts';
import type { PowertoolsLog } from './powertools-log.ts';
import { Secret, SPOTIFY_CLIENT, SUPABASE_CREDENTIALS, type SupabaseCredentials } from './secret.ts';
import { SpotifyTokenEndpoint } from './spotify-token-endpoint.ts';
import { SupabaseConnectionStore } from './supabase-connection-store.ts';
import { systemClock } from './system-clock.ts';

/** Bounds of a call to Secrets Manager; the answer comes from within the region. */
const SECRETS_MANAGER = {
  maxAttempts: 2,
  requestHandler: { connectionTimeout: 1_000, requestTimeout: 2_000, throwOnRequestTimeout: true },
};

/** The real things that both functions refresh connections with. */
export type Adapters = {
  readonly refresh: RefreshDependencies;
  readonly supabaseSecret: Secret<SupabaseCredentials>;
  /** Starts reading the secrets and resolves when that is over, whatever came of it: whoever needs one hears of a failure. */
  readonly warmUp: () => Promise<unknown>;
};

/** Composes what both functions need from their environment. Throws an EnvironmentError. */
export function createAdapters(environment: Environment, log: PowertoolsLog): Adapters {
  const client = new SecretsManagerClient(SECRETS_MANAGER);
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
  return {
    refresh: {
      store: new SupabaseConnectionStore(
        environment.url(EnvironmentVariables.supabaseUrl),
        supabaseSecret,
        systemClock,
      ),
      tokenEndpoint: new SpotifyTokenEndpoint(
        environment.url(EnvironmentVariables.spotifyTokenUrl),
        spotifySecret,
      ),
      clock: systemClock,
      random: Math.random,
      log,
    },
    supabaseSecret,
    warmUp: () => Promise.allSettled([spotifySecret.read(), supabaseSecret.read()]),
  };
}
