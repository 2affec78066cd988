import { createRemoteJWKSet } from 'jose';
import { PowertoolsLog } from '../adapters/powertools-log.ts';
import { createAdapters } from '../composition/create-adapters.ts';
import { parseEnvironment, StatusEnvironment } from '../composition/environment.ts';
import { logInvocations } from '../composition/log-invocations.ts';
import { authenticate, type SharedSecret } from './authentication.ts';
import { checkConnection } from './check-connection.ts';
import { createStatusEndpoint } from './status-endpoint.ts';

const environment = parseEnvironment(StatusEnvironment, process.env);
const log = new PowertoolsLog('status');
const { refresh, secrets, warmUp } = createAdapters(environment, log);

// Kept for as long as the instance lives; a token signed with a key that is not in it has it fetched again.
const keySet = createRemoteJWKSet(new URL('/auth/v1/.well-known/jwks.json', environment.SUPABASE_URL), {
  timeoutDuration: 2_000,
  cacheMaxAge: Number.POSITIVE_INFINITY,
});
const sharedSecret: SharedSecret = {
  read: async () => (await secrets.supabase.read()).jwt_secret ?? null,
  renew: async () => (await secrets.supabase.renew(await secrets.supabase.read())).jwt_secret ?? null,
};
const authentication = { supabaseUrl: environment.SUPABASE_URL, keySet, sharedSecret };
const checking = { ...refresh, refreshMarginSeconds: environment.STATUS_REFRESH_MARGIN_SECONDS };

/** The status function. */
export const handler = createStatusEndpoint({
  authenticate: (authorization) => authenticate(authorization, authentication),
  checkConnection: (userId, deadline) => checkConnection(userId, deadline, checking),
  clock: refresh.clock,
  log,
  metrics: refresh.metrics,
  budgetMilliseconds: environment.STATUS_BUDGET_SECONDS * 1_000,
}).use(logInvocations(log));

// Everything that the first request would wait for, at once, while the instance starts.
await Promise.allSettled([warmUp(), keySet.reload()]);
