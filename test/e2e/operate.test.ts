import { randomBytes, randomUUID } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Cloud, OperatorEndpoint, startCloud } from 'cdk-out-local';
import { describeEmptySecrets } from '../../local/empty-secrets.ts';
import { STEPS } from '../../operator/checklist.ts';
import { type OperateRun, runOperate } from '../operator/run-operate.ts';
import { findLeaks } from './canaries.ts';
import { TestStack } from './test-stack.ts';

const STACK = 'SpotifyAuth-test';
const directories: string[] = [];
const outputs: string[] = [];

let stack: TestStack;

/** The synthesized stack as it is, but for its name and what the test changes. @returns its directory */
function copySynthesized(edit: (text: string) => string = (text) => text): string {
  const directory = mkdtempSync(join(tmpdir(), 'spotify-auth-cdk-'));
  directories.push(directory);
  cpSync(process.env['SYNTHESIZED_STACK'] ?? '', directory, { recursive: true });
  for (const name of readdirSync(directory).filter((file) => /manifest|template/.test(file))) {
    const file = join(directory, name);
    writeFileSync(file, edit(readFileSync(file, 'utf8').replaceAll('SpotifyAuth-local"', `${STACK}"`)));
  }
  return directory;
}

beforeAll(async () => {
  stack = await TestStack.start({ cdkOutDirectory: copySynthesized() });
});

afterAll(async () => {
  await stack.stop();
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

/** Runs a command against the running stack, as against one in an account. */
async function operate(
  args: readonly string[],
  { stage = 'test', awsUrl = stack.stack.awsEndpointUrl, standardInput = '' } = {},
): Promise<OperateRun> {
  const run = await runOperate([...args, '--stage', stage], { awsUrl, standardInput });
  outputs.push(run.stdout, run.stderr);
  return run;
}

/** The data that a command printed, which has to have succeeded. */
async function resultOf(...args: readonly string[]) {
  const { exitCode, stdout, stderr } = await operate(args);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  return JSON.parse(stdout);
}

function fillSecret(secret: 'spotify' | 'supabase', standardInput: string): Promise<OperateRun> {
  return operate(['fill-secret', secret], { standardInput });
}

describe('what operators do', () => {
  test('sweep: prints the counts, and the tokens are fresh', async () => {
    const due = await stack.createDueConnections(3);

    expect(await resultOf('sweep')).toMatchObject({ status: 'completed', remaining: 0 });
    expect(await stack.withoutFreshToken(due)).toEqual([]);
  });

  test('sweep: says while it lasts that it still goes on', async () => {
    await stack.createDueConnections(1);
    stack.stack.spotify.configure({ latencyMillis: 3_000 });

    const { exitCode, stdout, stderr } = await operate(['sweep']);

    stack.stack.spotify.configure({ latencyMillis: 0 });
    expect(exitCode).toBe(0);
    expect(stderr).toMatch(/^still sweeping, 2 s\n/);
    expect(JSON.parse(stdout)).toMatchObject({ status: 'completed', refreshed: 1 });
  });

  test('refresh: one user, however fresh the token', async () => {
    const user = await stack.createConnectedUser(3_000);

    expect(await resultOf('refresh', user.id.toUpperCase())).toEqual({
      user_id: user.id,
      outcome: 'refreshed',
    });
    expect(stack.spotifyCallsFor(user.id)).toHaveLength(1);
  });

  test('show: the state of one connection, whichever', async () => {
    const user = await stack.createConnectedUser(3_000);
    const newcomer = await stack.stack.supabase.createUser(`${randomUUID()}@example.com`, 'a password');

    expect(await resultOf('show', user.id)).toMatchObject({
      user_id: user.id,
      state: 'connected',
      leased: false,
      failures: 0,
    });
    expect(await resultOf('show', newcomer)).toEqual({ user_id: newcomer, state: 'never_connected' });
    expect(stack.spotifyCallsFor(user.id)).toEqual([]);
  });

  test('statistics: the state of the whole', async () => {
    expect(await resultOf('statistics')).toMatchObject({
      schema_version: expect.any(Number),
      due: 0,
      expired: 0,
      oldest_overdue_seconds: 0,
    });
  });

  test('restore: undoes the marks made since a moment', async () => {
    const user = await stack.createConnectedUser(60);
    const since = new Date().toISOString();
    stack.stack.spotify.revokeGrants(user.id);
    await resultOf('sweep');
    expect(await resultOf('show', user.id)).toMatchObject({ state: 'reauthorization_required' });

    expect(await resultOf('restore', '--since', new Date().toISOString())).toEqual({ restored: 0 });
    expect(await resultOf('restore', '--since', since)).toEqual({ restored: 1 });
    expect(await resultOf('show', user.id)).toMatchObject({ state: 'connected' });

    await resultOf('sweep');
  });

  test('doctor: everything is in place', async () => {
    const { exitCode, stdout } = await operate(['doctor']);

    expect(stdout.match(/^(FAIL|wait).*$/gm)).toBeNull();
    expect(stdout.match(/^ok/gm)).toHaveLength(Object.values(STEPS).flat().length);
    expect(exitCode).toBe(0);
  });
});

describe('filling a secret', () => {
  test.each([
    ['spotify', 'canary-in-no-json', 'the value is not JSON: it must be {"client_id": "...", "client_secret'],
    ['spotify', '', 'nothing came from standard input: it must be {"client_id'],
    [
      'spotify',
      '{"client_id": "canary-in-half-a-client"}',
      'the value is wrong at client_secret: it must be',
    ],
    ['supabase', '{"secret_key": "sb_publishable_canary"}', "secret_key is not the project's secret key"],
  ] as const)('%s with %j is refused, and the present one still works', async (secret, value, line) => {
    const { exitCode, stdout, stderr } = await fillSecret(secret, value);

    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr).toMatch(/^[^\n]+\n$/);
    expect(stderr).toContain(line);
    expect(stderr).not.toContain('canary');
    expect((await operate(['doctor'])).exitCode).toBe(0);
  });

  test('with a value that Spotify does not know shows in doctor and sweep, and with the right one is over', async () => {
    const { spotifyClient, cloud } = stack.stack;
    const user = await stack.createConnectedUser(60);

    const filled = await fillSecret('spotify', JSON.stringify({ ...spotifyClient, client_secret: 'canary' }));
    await cloud.lambda.stopIdleEnvironments();
    const diagnosis = await operate(['doctor']);
    const failed = await operate(['sweep']);
    await fillSecret('spotify', JSON.stringify(spotifyClient));
    await cloud.lambda.stopIdleEnvironments();
    await stack.sql('update spotify_auth.shared_state set not_before = null');
    const healed = await resultOf('refresh', user.id);

    expect(filled).toEqual({
      exitCode: 0,
      stdout: expect.stringMatching(
        /^Secret CredentialsSpotify[\w-]+ of SpotifyAuth-test has a new value\.\n$/,
      ),
      stderr: '',
    });
    expect(diagnosis.exitCode).toBe(1);
    expect(diagnosis.stdout).toMatch(/^FAIL {2}spotify client .*compare them with Spotify's dashboard$/m);
    expect(failed).toMatchObject({ exitCode: 1, stdout: '' });
    expect(failed.stderr).toMatch(/^the sweeper failed: SweepFailedError: .*check the Spotify secret.*\n$/);
    expect(healed).toEqual({ user_id: user.id, outcome: 'refreshed' });
  });
});

describe('a stage whose secrets are empty', () => {
  test('is led to a working one by what doctor says and npm start prints', async () => {
    const { cloud } = stack.stack;
    for (const output of ['SpotifySecretArn', 'SupabaseSecretArn']) {
      cloud.secretsManager.clearSecretValue(cloud.template.outputs[output] ?? '');
    }
    await cloud.lambda.stopIdleEnvironments();
    const printed = describeEmptySecrets(stack.stack);
    const way = [...printed.matchAll(/echo '(.+)' \| (npm run operate -- (fill-secret \w+) --stage) local/g)];

    const before = (await operate(['doctor'])).stdout;
    for (const [, standardInput = '', command, argument = ''] of way) {
      expect(before).toMatch(new RegExp(`^ +${command} test$`, 'm'));
      expect((await operate(argument.split(' '), { standardInput })).exitCode).toBe(0);
    }
    await cloud.lambda.stopIdleEnvironments();

    expect(before.match(/^FAIL {2}\w+ \w+/gm)).toEqual(['FAIL  spotify secret', 'FAIL  supabase secret']);
    expect(before.match(/first: supabase secret$/gm)).toHaveLength(5);
    expect(await operate(['doctor'])).toMatchObject({ exitCode: 0 });
  });
});

describe('what is not there', () => {
  test('a user whom nobody knows', async () => {
    const userId = randomUUID();

    expect(await operate(['show', userId])).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: `no user ${userId} in the Supabase project of ${STACK}: is it another stage?\n`,
    });
    expect(await operate(['refresh', userId])).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: `user ${userId} has no connection to refresh in ${STACK}: "show ${userId}" says why\n`,
    });
  });

  test.each(['sweep', 'doctor', 'fill-secret spotify'])(
    'a stage: %s says which ones there are, and changes nothing',
    async (command) => {
      const calls = stack.stack.spotify.calls.length;

      const run = await operate(command.split(' '), {
        stage: 'prod',
        standardInput: '{"client_id": "canary", "client_secret": "canary"}',
      });

      expect(run).toEqual({
        exitCode: 1,
        stdout: '',
        stderr: `no stack SpotifyAuth-prod in region us-east-1 of account 123456789012: deployed are ${STACK}; or is it another AWS_REGION or AWS_PROFILE?\n`,
      });
      expect(stack.stack.spotify.calls).toHaveLength(calls);
      expect((await operate(['doctor'])).exitCode).toBe(0);
    },
  );

  test('the local stack, where "npm start" does not run', async () => {
    const { exitCode, stderr } = await operate(['sweep'], { stage: 'local' });

    expect({ exitCode, stderr }).toEqual({
      exitCode: 1,
      stderr:
        'no local stack is running: start one with "npm start" and wait until it says that it is ready\n',
    });
  });
});

describe('a stack in which nothing is in place', () => {
  let cloud: Cloud;
  let endpoint: OperatorEndpoint;

  beforeAll(async () => {
    cloud = await startCloud({
      cdkOutDirectory: copySynthesized(breakTemplate),
      environmentOverrides: {},
      onLog: () => {},
    });
    endpoint = await OperatorEndpoint.start(cloud, 0);
  });

  afterAll(async () => {
    endpoint.stop();
    await cloud.stop();
  });

  test('doctor has a line for each thing, and what to do', async () => {
    const { exitCode, stdout } = await operate(['doctor'], { awsUrl: endpoint.url });

    expect(exitCode).toBe(1);
    expect(stdout).toMatch(
      /^FAIL {2}sweeper .*ResourceNotFoundException: the stack has no function nowhere$/m,
    );
    expect(stdout).toMatch(/^FAIL {2}schedule .* is disabled, nothing sweeps: enable it in EventBridge/m);
    expect(stdout).toMatch(/^FAIL {2}alarm topic .*an alarm reaches nobody: set alarmEmail in cdk\.json/m);
    expect(stdout).toMatch(/^FAIL {2}event bus .*there is no bus nowhere: create it, or set eventBus/m);
  });

  test('a secret that is gone is not filled', async () => {
    const run = await operate(['fill-secret', 'spotify'], {
      awsUrl: endpoint.url,
      standardInput: '{"client_id": "canary", "client_secret": "canary"}',
    });

    expect(run).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: "ResourceNotFoundException: Secrets Manager can't find the specified secret.\n",
    });
  });
});

/** Outputs that lead nowhere, a schedule that does not run, a topic that nobody hears. */
function breakTemplate(text: string): string {
  const template = JSON.parse(text);
  if (!('Outputs' in template)) return text;
  for (const output of ['SweeperFunctionName', 'SpotifySecretArn', 'EventBusName']) {
    template.Outputs[output].Value = 'nowhere';
  }
  for (const [logicalId, { Type, Properties }] of Object.entries<{
    Type: string;
    Properties: { State: string };
  }>(template.Resources)) {
    if (Type === 'AWS::Scheduler::Schedule') Properties.State = 'DISABLED';
    if (Type === 'AWS::SNS::Subscription') delete template.Resources[logicalId];
  }
  return JSON.stringify(template);
}

test('no secret and no token was in any output', async () => {
  const { supabase, spotifyClient } = stack.stack;
  const user = await stack.createConnectedUser(3_000, `canary-${randomBytes(8).toString('hex')}@example.com`);
  for (const command of ['show', 'refresh']) await operate([command, user.id]);
  const profile = await stack.profile(user.id);
  const canaries = {
    accessToken: user.accessToken,
    refreshToken: user.refreshToken,
    newAccessToken: profile.spotify_access_token ?? '',
    spotifyUserId: user.spotifyUserId,
    email: user.email,
    spotifyClientSecret: spotifyClient.client_secret,
    supabaseSecretKey: supabase.secretKey,
    jwtSecret: supabase.jwtSecret,
  };

  expect(outputs.length).toBeGreaterThan(50);
  expect(outputs.some((text) => text.includes(user.id))).toBe(true);
  expect(findLeaks(canaries, outputs)).toEqual([]);
  expect(outputs.filter((text) => text.includes('canary'))).toEqual([]);
});
