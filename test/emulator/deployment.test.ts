import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { CloudFormationClient, DescribeStacksCommand } from '@aws-sdk/client-cloudformation';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type SampleUser, seedUsers } from '../../local/seed.ts';
import { BondhuBackend } from '../../stand-ins/bondhu/backend.ts';
import { type AccountsService, startAccountsService } from '../../stand-ins/spotify/accounts-service.ts';
import { openBondhuDatabase } from '../../stand-ins/supabase/bondhu-database.ts';
import { startPostgres } from '../../stand-ins/supabase/postgres.ts';
import { type Supabase, startSupabase } from '../../stand-ins/supabase/server.ts';
import { ACCOUNT, type OperateRun, runOperate } from '../operator/run-operate.ts';
import { type ApiAnswer, type Ministack, startMinistack } from './ministack.ts';
import { synthesizeForMinistack } from './template.ts';

const projectRoot = join(import.meta.dirname, '../..');
const spotifyClient = { client_id: 'the-client-id', client_secret: 'the-client-secret' };
const started = new AsyncDisposableStack();

let emulator: Ministack;
let supabase: Supabase;
let spotify: AccountsService;
let users: readonly SampleUser[];

// One story, in this order: what docs/deploy.md leads through.
beforeAll(async () => {
  const postgres = await startPostgres();
  started.defer(() => postgres.stop());
  const database = await openBondhuDatabase(postgres, { name: 'bondhu' });
  supabase = await startSupabase({ database });
  started.defer(() => supabase.stop());
  spotify = await startAccountsService({
    clientId: spotifyClient.client_id,
    clientSecret: spotifyClient.client_secret,
  });
  started.defer(() => spotify.stop());
  users = await seedUsers(supabase, spotify, new BondhuBackend(supabase));
  emulator = await startMinistack();
  started.defer(() => emulator.stop());
});

afterAll(() => started.disposeAsync());

describe('an account', () => {
  test('is bootstrapped', async () => {
    await cdk('bootstrap', 'aws://000000000000/us-east-1');
    expect(await stackStatus('CDKToolkit')).toBe('CREATE_COMPLETE');
  });
});

describe('a stage', () => {
  test('is deployed, and doctor says that its secrets are empty', async () => {
    await deploy('one');

    const { exitCode, stdout } = await operate('one', 'doctor');

    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/^ok {4}stack +SpotifyAuth-one is CREATE_COMPLETE$/m);
    expect(stdout).toMatch(/^FAIL {2}spotify secret .*it must be \{"client_id": "\.\.\."/m);
    expect(stdout).toMatch(/^FAIL {2}supabase secret .*it must be \{"secret_key": "sb_secret_\.\.\."\}/m);
  });

  test('answers status calls once they are filled in, and refreshes the token of a user who looks', async () => {
    await fillSecrets('one');

    expect(await status('one', 'expired')).toMatchObject({
      status: 200,
      body: { connected: true, auto_refreshed: true },
    });
    expect(await status('one', 'never-connected')).toMatchObject({ status: 200, body: { connected: false } });
    // The first call is fill-secret's, which tries the client before it writes.
    expect(spotify.calls).toMatchObject([
      { outcome: 'client_accepted' },
      { userId: userIn('expired').id, outcome: 'refreshed' },
    ]);
  });

  test('only answers the user', async () => {
    const stranger = { authorization: `Bearer ${await tokenOf('fresh')}` };

    expect(await status('one', 'expired', stranger)).toMatchObject({ status: 403 });
    expect(await status('one', 'expired', {})).toMatchObject({ status: 401 });
  });

  test('sweeps, and doctor is content', async () => {
    expect(await sweep('one')).toMatchObject({ status: 'completed', refreshed: 2, revoked: 2, remaining: 0 });
    expect(await operate('one', 'doctor')).toMatchObject({ exitCode: 0 });
  });

  test('is updated, and keeps the secrets that were filled in', async () => {
    await deploy('one', { statusRefreshMarginMinutes: 6 });

    expect(await stackStatus('SpotifyAuth-one')).toBe('UPDATE_COMPLETE');
    expect(await operate('one', 'doctor')).toMatchObject({ exitCode: 0 });
    expect(await status('one', 'expired')).toMatchObject({ status: 200, body: { connected: true } });
  });
});

describe('a second stage', () => {
  test('lives beside the first, with secrets of its own', async () => {
    await deploy('two');
    expect(await status('two', 'expired')).toMatchObject({ status: 503 });

    await fillSecrets('two');

    expect(await sweep('two')).toMatchObject({ status: 'completed' });
    expect(await operate('two', 'doctor')).toMatchObject({ exitCode: 0 });
  });

  test('goes on when the first is destroyed', async () => {
    await cdk('destroy', '--app', await synthesized('one'), '--force');

    expect(await operate('one', 'doctor')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('no stack SpotifyAuth-one'),
    });
    expect(await sweep('two')).toMatchObject({ status: 'completed' });
  });
});

describe('a stage that was destroyed', () => {
  test('is deployed again, with empty secrets', async () => {
    await deploy('one');

    expect((await operate('one', 'doctor')).stdout).toMatch(/^FAIL {2}spotify secret/m);
    await fillSecrets('one');
    expect(await sweep('one')).toMatchObject({ status: 'completed' });
    expect(await status('one', 'expired')).toMatchObject({ status: 200, body: { connected: true } });
  });
});

/** Runs a command of the CDK, which has to succeed. */
async function cdk(...args: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, ['node_modules/aws-cdk/bin/cdk', ...args], {
    cwd: projectRoot,
    env: {
      PATH: process.env['PATH'],
      AWS_CONFIG_FILE: '/dev/null',
      AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
      AWS_ENDPOINT_URL: emulator.url,
      ...ACCOUNT,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [, stderr, [exitCode]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  if (exitCode !== 0) throw new Error(`cdk ${args.join(' ')} has failed:\n${stderr}`);
}

/** @returns the directory with the template and the functions of a stage */
async function synthesized(stage: string, settings: object = {}): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'spotify-auth-cdk-'));
  started.defer(() => rmSync(directory, { recursive: true, force: true }));
  const complete = {
    supabaseUrl: supabase.url,
    spotifyTokenUrl: spotify.tokenUrl,
    allowedOrigins: ['http://localhost:3000'],
    alarmEmail: 'platform@example.com',
    ...settings,
  };
  await synthesizeForMinistack(stage, complete, directory);
  return directory;
}

async function deploy(stage: string, settings: object = {}): Promise<void> {
  await cdk('deploy', '--app', await synthesized(stage, settings), '--require-approval', 'never');
}

function operate(stage: string, command: string, ...args: readonly string[]): Promise<OperateRun> {
  return runOperate([command, ...args, '--stage', stage], { awsUrl: emulator.url });
}

async function fillSecrets(stage: string): Promise<void> {
  const values = { spotify: spotifyClient, supabase: { secret_key: supabase.secretKey } };
  for (const [secret, value] of Object.entries(values)) {
    const run = await runOperate(['fill-secret', secret, '--stage', stage], {
      awsUrl: emulator.url,
      standardInput: JSON.stringify(value),
    });
    expect(run).toMatchObject({ exitCode: 0, stderr: '' });
  }
}

/** Sweeps, as soon as the function has read its secrets: for ten seconds it keeps in mind that one was empty. */
async function sweep(stage: string): Promise<unknown> {
  for (;;) {
    const { stdout, stderr } = await operate(stage, 'sweep', '--json');
    if (stdout !== '') return JSON.parse(stdout);
    if (!stderr.includes('is not JSON')) throw new Error(stderr);
  }
}

async function describeStack(name: string) {
  const client = new CloudFormationClient({
    endpoint: emulator.url,
    region: ACCOUNT.AWS_REGION,
    credentials: { accessKeyId: ACCOUNT.AWS_ACCESS_KEY_ID, secretAccessKey: ACCOUNT.AWS_SECRET_ACCESS_KEY },
  });
  const { Stacks: [stack] = [] } = await client.send(new DescribeStacksCommand({ StackName: name }));
  return stack;
}

async function stackStatus(name: string): Promise<string | undefined> {
  return (await describeStack(name))?.StackStatus;
}

function userIn(state: string): SampleUser {
  return users.find((user) => user.state === state) as SampleUser;
}

function tokenOf(state: string): Promise<string> {
  return supabase.signUserToken({ sub: userIn(state).id }, { algorithm: 'ES256' });
}

/** Calls the status API about a user, by default as that user. */
async function status(
  stage: string,
  state: string,
  headers?: Readonly<Record<string, string>>,
): Promise<ApiAnswer> {
  const { Outputs = [] } = (await describeStack(`SpotifyAuth-${stage}`)) ?? {};
  const apiUrl = Outputs.find(({ OutputKey }) => OutputKey === 'ApiUrl')?.OutputValue ?? '';
  const sent = headers ?? { authorization: `Bearer ${await tokenOf(state)}` };
  return emulator.get(apiUrl, `/api/v1/agents/music/status/${userIn(state).id}`, sent);
}
