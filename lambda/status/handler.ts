import { PowertoolsLog } from '../adapters/powertools-log.ts';
import { SupabaseSigningKeys } from '../adapters/supabase-signing-keys.ts';
import { createAdapters } from '../composition/create-adapters.ts';
import { parseEnvironment, StatusEnvironment } from '../composition/environment.ts';
import { logInvocations } from '../composition/log-invocations.ts';
import { authenticate, type SharedSecret } from './authentication.ts';
import { checkConnection } from './check-connection.ts';
import { createStatusEndpoint } from './status-endpoint.ts';

const environment = parseEnvironment(StatusEnvironment, process.env);
const log = new PowertoolsLog('status');
const { refresh, secrets, warmUp } = createAdapters(environment, log);

const signingKeys = new SupabaseSigningKeys(environment.SUPABASE_URL);
const sharedSecret: SharedSecret = {
  read: async () => (await secrets.supabase.read()).jwt_secret ?? null,
  renew: async () => (await secrets.supabase.renew(await secrets.supabase.read())).jwt_secret ?? null,
  mayHaveMissed: (issuedAtSeconds) => secrets.supabase.mayHaveMissed(issuedAtSeconds),
};
const authentication = { issuers: environment.SUPABASE_TOKEN_ISSUERS, signingKeys, sharedSecret };
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

// Starts everything that the first request would wait for, in parallel, while the instance starts.
await Promise.allSettled([warmUp(), signingKeys.load()]);
