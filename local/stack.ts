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

/** Ports to listen on; where one is taken, and by default, a free one serves. */
export interface StackPorts {
  readonly api?: number;
  readonly supabase?: number;
  readonly spotify?: number;
  readonly postgres?: number;
  readonly aws?: number;
}

export interface StackOptions {
  readonly ports?: StackPorts;
  /** Runs the schedule at this interval. @default - as the template says */
  readonly sweepEverySeconds?: number;
  /** Spotify's token endpoint. @default - that of the local stand-in */
  readonly spotifyTokenUrl?: string;
  /** The app's credentials there. @default - made up */
  readonly spotifyClient?: SpotifyClient;
  /** Leaves the secrets as empty as a deployment creates them. @default false */
  readonly emptySecrets?: boolean;
  /** A PostgreSQL server to use, as one of its superusers. @default - one is started */
  readonly databaseUrl?: string;
  /** A database to use, with Bondhu's schema and the migrations; it stays. @default - one is created */
  readonly database?: BondhuDatabase;
  /** Whether there is a user in every state. Each takes the processor for a while, to hash a password. @default true */
  readonly hasSampleUsers?: boolean;
  /** Values that differ from the template's, for environment variables of its functions. @default {} */
  readonly environmentOverrides?: Readonly<Record<string, string>>;
  /** How far the clocks of the functions' hosts are ahead. @default 0 */
  readonly clockOffsetSeconds?: number;
  /** A synthesized stack to run. @default - one is synthesized */
  readonly cdkOutDirectory?: string;
  /** Waiting times before the retries of asynchronous invocations. @default - Lambda's own */
  readonly retryDelaysInSeconds?: readonly [number, number];
  /** Visibility timeout of every queue. @default - as the template says */
  readonly visibilityTimeoutSeconds?: number;
  /** Receives every line of the functions' logs and of the API's access log. */
  readonly onLog: OnLog;
  /** Receives a line per step of the start, and of the end where it leaves something. */
  readonly onProgress: (line: string) => void;
  /** Calls the start off: it rejects with the signal's reason once the step under way has ended, which is soon. */
  readonly signal?: AbortSignal;
}

/** The whole system on this machine: the synthesized stack, Bondhu's Supabase, Spotify's accounts service. */
export interface Stack {
  readonly cloud: Cloud;
  readonly supabase: Supabase;
  readonly database: BondhuDatabase;
  readonly spotify: AccountsService;
  /** The app that the token endpoint knows. */
  readonly spotifyClient: SpotifyClient;
  readonly bondhu: BondhuBackend;
  readonly users: readonly SampleUser[];
  /** What operators use of AWS, all services at one address. */
  readonly awsEndpointUrl: string;
  /** Stops every server and child process and removes the temporary files. */
  stop(): Promise<void>;
}

/** Starts everything, seeds users in every state and fills in the secrets, unless they are to be empty. On failure, nothing is left running. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { ports = {}, onLog, onProgress, signal } = options;
  const step = (line: string) => {
    signal?.throwIfAborted();
    onProgress(line);
  };
  await using started = new AsyncDisposableStack();

  // First, for its address may be wrong.
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
    // The two addresses that are elsewhere on this machine. Written out, for nothing here may need `lambda/`: what
    // runs is what was synthesized.
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

/** Creates Bondhu's database, on a server that is started for it unless there is one. */
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

/** Synthesizes the stack into a temporary folder, which the end of what was started ends and removes. */
async function beginSynthesis(
  started: AsyncDisposableStack,
  onProgress: (line: string) => void,
): Promise<{ readonly cdkOutDirectory: string; readonly synthesis: Promise<void> }> {
  // Its name tells a later start whose it was, should it be left (leftovers.ts).
  const cdkOutDirectory = await mkdtemp(join(tmpdir(), `spotify-auth-cdk-${process.pid}-`));
  started.defer(() => rm(cdkOutDirectory, { recursive: true, force: true }));
  onProgress('Synthesizing the stack (cdk synth), meanwhile:');
  const ending = new AbortController();
  const synthesis = synthesizeOrCopy(cdkOutDirectory, ending.signal).then((isCopy) =>
    onProgress(isCopy ? 'The stack is as it was synthesized last' : 'The stack is synthesized'),
  );
  // Awaited elsewhere; should something else fail first, its failure is not a second one.
  synthesis.catch(() => {});
  started.defer(async () => {
    ending.abort();
    await synthesis.catch(() => {});
  });
  return { cdkOutDirectory, synthesis };
}

/** Waits for something, unless it is called off. */
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

/** What an operator does once after the first deployment. */
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
