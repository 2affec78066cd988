import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Cloud, type OnLog, OperatorEndpoint, startCloud } from 'cdk-out-local';
import { BondhuBackend } from '../stand-ins/bondhu/backend.ts';
import type { SpotifyClient } from '../stand-ins/bondhu/oauth.ts';
import { type AccountsService, startAccountsService } from '../stand-ins/spotify/accounts-service.ts';
import { type BondhuDatabase, openBondhuDatabase } from '../stand-ins/supabase/bondhu-database.ts';
import { connectToPostgres } from '../stand-ins/supabase/external-postgres.ts';
import { type Postgres, settingsWithoutDurability, startPostgres } from '../stand-ins/supabase/postgres.ts';
import { type Supabase, startSupabase } from '../stand-ins/supabase/server.ts';
import { type SampleUser, seedUsers } from './seed.ts';
import { synthesizeOrCopy } from './synthesize.ts';

/** Ports to listen on. By default, and if one is taken, the stack uses a free one. */
export interface StackPorts {
  readonly api?: number;
  readonly supabase?: number;
  readonly spotify?: number;
  readonly postgres?: number;
  readonly aws?: number;
}

export interface StackOptions {
  readonly ports?: StackPorts;
  /** Runs the schedule at this interval. @default - the template's */
  readonly sweepEverySeconds?: number;
  /** Spotify's token endpoint. @default - the local stand-in's */
  readonly spotifyTokenUrl?: string;
  /** The app's credentials at that endpoint. @default - made up */
  readonly spotifyClient?: SpotifyClient;
  /** Leaves the secrets empty, as a deployment creates them. @default false */
  readonly emptySecrets?: boolean;
  /** A PostgreSQL server to use, as a superuser. @default - starts one */
  readonly databaseUrl?: string;
  /** A database to use, with Bondhu's schema and the migrations; it is kept. @default - creates one */
  readonly database?: BondhuDatabase;
  /** Whether to create a user in every state. Hashing each password takes the processor for a while. @default true */
  readonly hasSampleUsers?: boolean;
  /** Environment variables of the functions with values that differ from the template's. @default {} */
  readonly environmentOverrides?: Readonly<Record<string, string>>;
  /** How far the clocks of the functions' hosts are ahead. @default 0 */
  readonly clockOffsetSeconds?: number;
  /** A synthesized stack to run. @default - synthesizes one */
  readonly cdkOutDirectory?: string;
  /** Waiting times before the retries of asynchronous invocations. @default - Lambda's own */
  readonly retryDelaysInSeconds?: readonly [number, number];
  /** Visibility timeout of every queue. @default - the template's */
  readonly visibilityTimeoutSeconds?: number;
  /** Receives every line of the functions' logs and of the API's access log. */
  readonly onLog: OnLog;
  /** Receives a line per step of the start, and of the end if something stays behind. */
  readonly onProgress: (line: string) => void;
  /** Cancels the start: it rejects with the signal's reason soon, when the current step has ended. */
  readonly signal?: AbortSignal;
}

/** The whole system on this machine: the synthesized stack, Bondhu's Supabase, Spotify's accounts service. */
export interface Stack {
  readonly cloud: Cloud;
  readonly supabase: Supabase;
  readonly database: BondhuDatabase;
  readonly spotify: AccountsService;
  /** The app that the token endpoint accepts. */
  readonly spotifyClient: SpotifyClient;
  readonly bondhu: BondhuBackend;
  readonly users: readonly SampleUser[];
  /** One address for all AWS services, for operators' commands. */
  readonly awsEndpointUrl: string;
  /** Stops every server and child process, and removes the temporary files. */
  stop(): Promise<void>;
}

/** Starts everything, seeds users in every state and fills in the secrets, unless they should stay empty. On failure, it leaves nothing running. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { ports = {}, onLog, onProgress, signal } = options;
  const step = (line: string) => {
    signal?.throwIfAborted();
    onProgress(line);
  };
  await using started = new AsyncDisposableStack();

  // First, because its address may be wrong.
  const server =
    options.databaseUrl === undefined ? null : await connectToPostgres(options.databaseUrl, onProgress);
  if (server) started.defer(() => server.stop());
  const { cdkOutDirectory, synthesis } =
    options.cdkOutDirectory === undefined
      ? await beginSynthesis(started, onProgress)
      : { cdkOutDirectory: options.cdkOutDirectory, synthesis: Promise.resolve() };

  const database = options.database ?? (await createDatabase(started, server, options));
  step('Starting Supabase (REST and Auth)');
  const supabase = await startSupabase({ database, port: ports.supabase ?? 0 });
  started.defer(() => supabase.stop());
  step("Starting the stand-in for Spotify's accounts service");
  const spotifyClient = options.spotifyClient ?? {
    client_id: randomBytes(16).toString('hex'),
    client_secret: randomBytes(16).toString('hex'),
  };
  const spotify = await startAccountsService({
    clientId: spotifyClient.client_id,
    clientSecret: spotifyClient.client_secret,
    port: ports.spotify ?? 0,
  });
  started.defer(() => spotify.stop());
  const bondhu = new BondhuBackend(supabase);
  const { hasSampleUsers = true } = options;
  if (hasSampleUsers) step('Creating users in every state');
  const users = hasSampleUsers ? await seedUsers(supabase, spotify, bondhu, signal) : [];

  await abortable(synthesis, signal);
  step('Starting the synthesized stack');
  const cloud = await startCloud({
    cdkOutDirectory,
    // The two addresses that are on this machine. Written out, because nothing here may depend on `lambda/`: the
    // synthesized code runs.
    environmentOverrides: {
      SUPABASE_URL: supabase.url,
      SUPABASE_TOKEN_ISSUERS: JSON.stringify([`${supabase.url}/auth/v1`]),
      SPOTIFY_TOKEN_URL: options.spotifyTokenUrl ?? spotify.tokenUrl,
      ...options.environmentOverrides,
    },
    onLog,
    preferredPorts: { api: ports.api ?? 0 },
    ...(options.clockOffsetSeconds !== undefined && { clockOffsetSeconds: options.clockOffsetSeconds }),
    ...(options.sweepEverySeconds !== undefined && { scheduleEverySeconds: options.sweepEverySeconds }),
    ...(options.visibilityTimeoutSeconds !== undefined && {
      visibilityTimeoutSeconds: options.visibilityTimeoutSeconds,
    }),
    ...(options.retryDelaysInSeconds && { retryDelaysInSeconds: options.retryDelaysInSeconds }),
  });
  started.defer(() => cloud.stop());
  if (!options.emptySecrets) fillInSecrets(cloud, supabase, spotifyClient);
  const operatorEndpoint = await OperatorEndpoint.start(cloud, ports.aws ?? 0);
  started.defer(() => operatorEndpoint.stop());

  const running = started.move();
  return {
    cloud,
    supabase,
    database,
    spotify,
    spotifyClient,
    bondhu,
    users,
    awsEndpointUrl: operatorEndpoint.url,
    stop: () => running.disposeAsync(),
  };
}

/** Creates Bondhu's database, and a server for it unless one is given. */
async function createDatabase(
  started: AsyncDisposableStack,
  server: Postgres | null,
  { ports = {}, onProgress, signal }: StackOptions,
): Promise<BondhuDatabase> {
  const postgres =
    server ??
    (await startPostgres({
      port: ports.postgres ?? 0,
      settings: settingsWithoutDurability,
      onProgress,
      ...(signal && { signal }),
    }));
  if (!server) started.defer(() => postgres.stop());
  const suffix = server ? `_${randomBytes(4).toString('hex')}` : '';
  signal?.throwIfAborted();
  onProgress("Creating Bondhu's schema and applying supabase/migrations");
  return openBondhuDatabase(postgres, { name: `bondhu${suffix}` });
}

/** Synthesizes the stack into a temporary folder, which stopping the stack removes. */
async function beginSynthesis(
  started: AsyncDisposableStack,
  onProgress: (line: string) => void,
): Promise<{ readonly cdkOutDirectory: string; readonly synthesis: Promise<void> }> {
  // The name lets a later start find its owner if it is left behind (leftovers.ts).
  const cdkOutDirectory = await mkdtemp(join(tmpdir(), `spotify-auth-cdk-${process.pid}-`));
  started.defer(() => rm(cdkOutDirectory, { recursive: true, force: true }));
  onProgress('Synthesizing the stack (cdk synth), meanwhile:');
  const ending = new AbortController();
  const synthesis = synthesizeOrCopy(cdkOutDirectory, ending.signal).then((isCopy) =>
    onProgress(
      isCopy ? 'Nothing has changed: using the stack that was synthesized last' : 'The stack is synthesized',
    ),
  );
  // Awaited elsewhere; if something else fails first, its rejection must not count as unhandled.
  synthesis.catch(() => {});
  started.defer(async () => {
    ending.abort();
    await synthesis.catch(() => {});
  });
  return { cdkOutDirectory, synthesis };
}

/** Waits for something, unless the start is cancelled. */
async function abortable(work: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  const { promise: calledOff, reject } = Promise.withResolvers<never>();
  const callOff = () => reject(signal?.reason);
  signal?.addEventListener('abort', callOff);
  try {
    signal?.throwIfAborted();
    await Promise.race([work, calledOff]);
  } finally {
    signal?.removeEventListener('abort', callOff);
  }
}

/** The operator's steps after a first deployment. */
function fillInSecrets(
  { secretsManager, template }: Cloud,
  supabase: Supabase,
  spotifyClient: SpotifyClient,
): void {
  const { SpotifySecretArn = '', SupabaseSecretArn = '' } = template.outputs;
  secretsManager.putSecretValue(SpotifySecretArn, JSON.stringify(spotifyClient));
  secretsManager.putSecretValue(
    SupabaseSecretArn,
    JSON.stringify({ secret_key: supabase.secretKey, jwt_secret: supabase.jwtSecret }),
  );
}
