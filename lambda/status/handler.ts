import { createRemoteJWKSet } from 'jose';
import { Environment } from '../adapters/environment.ts';
import { PowertoolsLog } from '../adapters/powertools-log.ts';
import { createAdapters } from '../adapters/refresh-dependencies.ts';
import { EnvironmentVariables } from '../environment-variables.ts';
import { authenticate, type SharedSecret } from './authentication.ts';
import { checkConnection } from './check-connection.ts';
import { createStatusEndpoint } from './status-endpoint.ts';

const environment = new Environment(process.env);
const log = new PowertoolsLog('status');
const { refresh, secrets, warmUp } = createAdapters(environment, log);

const supabaseUrl = environment.url(EnvironmentVariables.supabaseUrl);
// Kept for as long as the instance lives; a token signed with a key that is not in it has it fetched again.
const keySet = createRemoteJWKSet(new URL('/auth/v1/.well-known/jwks.json', supabaseUrl), {
  timeoutDuration: 2_000,
  cacheMaxAge: Number.POSITIVE_INFINITY,
});
const sharedSecret: SharedSecret = {
  read: async () => (await secrets.supabase.read()).jwt_secret ?? null,
  renew: async () => (await secrets.supabase.renew(await secrets.supabase.read())).jwt_secret ?? null,
};

/** The status function. */
export const handler = createStatusEndpoint({
  authenticate: (authorization) => authenticate(authorization, { supabaseUrl, keySet, sharedSecret }),
  checkConnection: (userId, deadline) =>
    checkConnection(userId, deadline, {
      ...refresh,
      refreshMarginSeconds: environment.positiveInteger(EnvironmentVariables.statusRefreshMarginSeconds),
    }),
  clock: refresh.clock,
  log,
  metrics: refresh.metrics,
  budgetMilliseconds: environment.positiveInteger(EnvironmentVariables.statusBudgetSeconds) * 1_000,
});

// Everything that the first request would wait for, at once, while the instance starts.
await Promise.allSettled([warmUp(), keySet.reload()]);
