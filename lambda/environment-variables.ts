/**
 * The names of the environment variables that the stack (`lib/`) sets and the functions (`lambda/`) read.
 * This file imports nothing. Beside it the two share `metric-names.ts`.
 */
export const EnvironmentVariables = {
  /** Name of the stack: the dimension of its metrics. */
  stackName: 'STACK_NAME',
  /** Address of the Supabase project, without a path: `https://<project>.supabase.co`. */
  supabaseUrl: 'SUPABASE_URL',
  /** Accepted values of `iss` in user tokens: a JSON array of addresses. */
  supabaseTokenIssuers: 'SUPABASE_TOKEN_ISSUERS',
  /** ARN of the secret with Supabase's key, and its JWT secret if the project uses one. */
  supabaseSecretArn: 'SUPABASE_SECRET_ARN',
  /** ARN of the secret with the Spotify app's client id and client secret. */
  spotifySecretArn: 'SPOTIFY_SECRET_ARN',
  /** Spotify's token endpoint. */
  spotifyTokenUrl: 'SPOTIFY_TOKEN_URL',
  /** Address of the queue for rotated refresh tokens that could not be stored. */
  rescueQueueUrl: 'RESCUE_QUEUE_URL',
  /** ARN of the secret with the key that encrypts the messages of that queue. */
  rescueKeyArn: 'RESCUE_KEY_ARN',
  /** Status function: a status call refreshes a token with less time left than this, in seconds. */
  statusRefreshMarginSeconds: 'STATUS_REFRESH_MARGIN_SECONDS',
  /** Status function: seconds that a request may spend on its own work. */
  statusBudgetSeconds: 'STATUS_BUDGET_SECONDS',
  /** Sweeper: seconds before expiry from which a sweep refreshes a token. */
  sweepWindowSeconds: 'SWEEP_WINDOW_SECONDS',
  /** Sweeper: connections per claim. */
  sweepBatchSize: 'SWEEP_BATCH_SIZE',
  /** Sweeper: seconds from one scheduled sweep to the next. */
  sweepIntervalSeconds: 'SWEEP_INTERVAL_SECONDS',
  /** Sweeper: seconds after which Lambda ends an invocation. */
  sweeperTimeoutSeconds: 'SWEEPER_TIMEOUT_SECONDS',
  /** Sweeper: due connections per invocation; a sweep with more wakes helpers. */
  sweepConnectionsPerInvocation: 'SWEEP_CONNECTIONS_PER_INVOCATION',
  /** Sweeper: calls to Spotify per second, across all sweeping invocations. Not set: no limit. */
  spotifyCallsPerSecond: 'SPOTIFY_CALLS_PER_SECOND',
  /** Sweeper: address of the queue that wakes helpers. */
  sweepQueueUrl: 'SWEEP_QUEUE_URL',
  /** Sweeper: name or ARN of the EventBridge bus for the events to other teams. */
  eventBus: 'EVENT_BUS',
} as const;
