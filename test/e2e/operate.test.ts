import { randomBytes, randomUUID } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text as readText } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { SecretsManagerClient, UpdateSecretVersionStageCommand } from '@aws-sdk/client-secrets-manager';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Cloud, OperatorEndpoint, startCloud } from 'cdk-out-local';
import { describeEmptySecrets } from '../../local/empty-secrets.ts';
import { STEPS } from '../../operator/checklist.ts';
import { callOperate, type OperateRun, runOperate, startOperate } from '../operator/run-operate.ts';
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
  { run = callOperate, stage = 'test', awsUrl = stack.stack.awsEndpointUrl, standardInput = '' } = {},
): Promise<OperateRun> {
  const result = await run([...args, '--stage', stage], { awsUrl, standardInput });
  outputs.push(result.stdout, result.stderr);
  return result;
}

/** The data that a command printed, which has to have succeeded. */
async function resultOf(...args: readonly string[]) {
  const { exitCode, stdout, stderr } = await operate([...args, '--json']);
  // A busy machine takes so long that the command says it goes on.
  const said = stderr.replaceAll(/^still .*\n/gm, '');
  expect({ exitCode, said }).toEqual({ exitCode: 0, said: '' });
  return JSON.parse(stdout);
}

function fillSecret(
  secret: 'spotify' | 'supabase',
  standardInput: string,
  ...options: string[]
): Promise<OperateRun> {
  return operate(['fill-secret', secret, ...options], { standardInput });
}

/** The fields that a command's help documents, in their order. */
async function fieldsOf(command: string): Promise<string[]> {
  const { stdout } = await operate(['help', command]);
  const [, fields = ''] = stdout.split('Fields of its JSON, in this order:\n');
  return [...fields.matchAll(/^ {2}([a-z_]+) {2}/gm)].map(([, name = '']) => name);
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

    const { exitCode, stdout, stderr } = await operate(['sweep', '--json']);

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

  test('show, refresh and explain take the e-mail of the account', async () => {
    const user = await stack.createConnectedUser(3_000);

    for (const command of ['show', 'refresh', 'explain']) {
      expect(await resultOf(command, user.email.toUpperCase())).toMatchObject({ user_id: user.id });
    }
    expect(await operate(['show', 'nobody@example.com'])).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: `no account has this e-mail address in the Supabase project of ${STACK}: check --stage, and use the address at Bondhu, not at Spotify\n`,
    });
  });

  test('explain: why a user is asked to reconnect, newest first', async () => {
    const user = await stack.createConnectedUser(60);
    await resultOf('refresh', user.id);
    stack.stack.spotify.revokeGrants(user.id);
    await resultOf('refresh', user.id);

    const { exitCode, stdout } = await operate(['explain', user.id]);
    const { history } = await resultOf('explain', user.id);

    expect(exitCode).toBe(0);
    expect(stdout).toMatch(
      /^The user has had to reconnect since .*: the user or Spotify revoked the permission/m,
    );
    expect(stdout).toMatch(/^What to do: Ask the user to reconnect Spotify in Bondhu\./m);
    expect(history.map(({ change }: { change: string }) => change)).toEqual([
      'revoked',
      'last_refreshed',
      'connected',
    ]);
    await resultOf('restore', '--since', new Date(Date.now() - 60_000).toISOString());
    expect((await resultOf('explain', user.id)).history[0]).toMatchObject({ change: 'restored' });
    await resultOf('sweep');
  });

  test('statistics: the state of the whole', async () => {
    expect(await resultOf('statistics')).toMatchObject({
      schema_version: expect.any(Number),
      due: 0,
      expired: 0,
      oldest_overdue_seconds: 0,
    });
    expect((await operate(['statistics'])).stdout).toMatch(/^connected {2,}\d+\n/);
  });

  test('statistics --watch: again and again, until the reader has seen enough', async () => {
    const watching = startOperate(['statistics', '--watch', '--every', '1', '--json', '--stage', 'test'], {
      awsUrl: stack.stack.awsEndpointUrl,
    });
    const documents: object[] = [];
    let text = '';
    for await (const chunk of watching.stdout) {
      text += chunk;
      const complete = text.split(/(?<=^\}\n)/m);
      text = complete.at(-1)?.endsWith('}\n') ? '' : (complete.pop() ?? '');
      documents.push(...complete.map((document) => JSON.parse(document)));
      // Leaving the loop closes the pipe.
      if (documents.length >= 2) break;
    }
    const stderr = await readText(watching.stderr);

    expect(documents).toHaveLength(2);
    expect(documents[1]).toMatchObject({ due: 0 });
    expect(stderr).toBe('');
  });

  test.each(['statistics', 'show', 'explain', 'refresh', 'sweep', 'doctor'])(
    '%s --json has the fields that its help documents, in that order',
    async (command) => {
      const user = await stack.createConnectedUser(3_000);
      const takesUser = ['show', 'explain', 'refresh'].includes(command);
      const { stdout } = await operate([command, ...(takesUser ? [user.id] : []), '--json']);
      const fields = Object.keys(JSON.parse(stdout));

      const documented = await fieldsOf(command);
      // A refresh that succeeds has no more to say.
      const expected = command === 'refresh' ? ['user_id', 'outcome'] : documented;
      expect(documented).toEqual(expect.arrayContaining(expected));
      expect(fields).toEqual(expected);
    },
  );

  test('restore: undoes the marks made since a moment', async () => {
    const user = await stack.createConnectedUser(60);
    const since = new Date().toISOString();
    stack.stack.spotify.revokeGrants(user.id);
    await resultOf('sweep');
    expect(await resultOf('show', user.id)).toMatchObject({ state: 'reauthorization_required' });

    expect(await resultOf('restore', '--since', new Date().toISOString())).toEqual({ restored: 0 });
    expect(await resultOf('restore', '--since', since, '--dry-run')).toEqual({ restorable: 1 });
    expect(await resultOf('show', user.id)).toMatchObject({ state: 'reauthorization_required' });
    expect(await resultOf('restore', '--since', since)).toEqual({ restored: 1 });
    expect(await resultOf('show', user.id)).toMatchObject({ state: 'connected' });

    await resultOf('sweep');
  });

  test('restore: more than ten only with --yes, without a terminal to ask at', async () => {
    const since = new Date().toISOString();
    const users = await stack.createDueConnections(11);
    await stack.sql(
      `update spotify_auth.connections set due_at = null, revocation_reason = 'revoked',
        reauthorization_required_since = now(), reauthorization_reason = 'grant_revoked'
      where user_id = any (array['${users.join("','")}']::uuid[])`,
    );

    expect(await operate(['restore', '--since', since])).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: `this would restore 11 connections marked dead since ${since}: add --yes, because there is no terminal to confirm at\n`,
    });
    expect(await resultOf('restore', '--since', since, '--dry-run')).toEqual({ restorable: 11 });
    expect(await resultOf('restore', '--since', since, '--yes')).toEqual({ restored: 11 });
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
    ['spotify', '', 'standard input is empty: it must be {"client_id'],
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

  test.each<[string, 'spotify' | 'supabase', () => object, string[], RegExp]>([
    [
      'another client id',
      'spotify',
      () => ({ client_id: 'canary', client_secret: 'canary' }),
      [],
      /this client id differs from the current one.*add --new-app/,
    ],
    [
      'another client id that Spotify refuses',
      'spotify',
      () => ({ client_id: 'canary', client_secret: 'canary' }),
      ['--new-app'],
      /Spotify refuses the client id or secret \(invalid_client\)/,
    ],
    [
      'a client secret that Spotify refuses',
      'spotify',
      () => ({ ...stack.stack.spotifyClient, client_secret: 'canary' }),
      ['--untried'],
      /Spotify refuses the client id or secret \(invalid_client\)/,
    ],
    [
      'a key that Supabase rejects',
      'supabase',
      () => ({ secret_key: 'sb_secret_canary', jwt_secret: 'canary' }),
      ['--untried'],
      /Supabase rejects the key/,
    ],
    [
      'no JWT secret where there is one',
      'supabase',
      () => ({ secret_key: stack.stack.supabase.secretKey }),
      [],
      /the current value has a jwt_secret .*add --without-jwt-secret/,
    ],
  ])('with %s writes nothing', async (_name, secret, value, options, line) => {
    const { exitCode, stdout, stderr } = await fillSecret(secret, JSON.stringify(value()), ...options);

    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr).toMatch(/^nothing was written: [^\n]+\n$/);
    expect(stderr).toMatch(line);
    expect((await operate(['doctor'])).exitCode).toBe(0);
  });

  test('with the right value says which version is current, and the command that it gives goes back', async () => {
    const { spotifyClient, cloud, awsEndpointUrl } = stack.stack;
    const secretArn = cloud.template.outputs['SpotifySecretArn'] ?? '';
    const stages = () => cloud.secretsManager.versionStagesOf(secretArn);
    const [before = ''] = Object.keys(stages());

    const filled = await fillSecret('spotify', JSON.stringify(spotifyClient));

    const [current = ''] = Object.keys(stages());
    const goBack = `aws secretsmanager update-secret-version-stage --secret-id ${secretArn} --version-stage AWSCURRENT --move-to-version-id ${before} --remove-from-version-id ${current}`;
    expect(filled).toMatchObject({ exitCode: 0, stderr: '' });
    expect(filled.stdout.split('\n')).toEqual([
      'Spotify accepts the client id and secret.',
      expect.stringMatching(
        `^Secret CredentialsSpotify[\\w-]+ of ${STACK} has a new value: version ${current} is current\\.$`,
      ),
      `To go back: ${goBack}`,
      '',
    ]);
    const options = parseArgs({
      args: goBack.split(' ').slice(3),
      options: {
        'secret-id': { type: 'string' },
        'version-stage': { type: 'string' },
        'move-to-version-id': { type: 'string' },
        'remove-from-version-id': { type: 'string' },
      },
    }).values;
    await new SecretsManagerClient({
      endpoint: awsEndpointUrl,
      region: 'us-east-1',
      credentials: { accessKeyId: 'operator', secretAccessKey: 'operator' },
    }).send(
      new UpdateSecretVersionStageCommand({
        SecretId: options['secret-id'],
        VersionStage: options['version-stage'],
        MoveToVersionId: options['move-to-version-id'],
        RemoveFromVersionId: options['remove-from-version-id'],
      }),
    );
    expect(stages()).toEqual({ [before]: ['AWSCURRENT'], [current]: ['AWSPREVIOUS'] });
  });

  test('that cannot be tested now waits, unless the operator is sure', async () => {
    const { spotifyClient, spotify } = stack.stack;
    const value = JSON.stringify(spotifyClient);
    spotify.setFault({ kind: 'status', status: 503 });

    const refused = await fillSecret('spotify', value);
    const sure = await fillSecret('spotify', value, '--untried', '--json');

    spotify.setFault(undefined);
    expect(refused).toMatchObject({ exitCode: 1, stdout: '' });
    expect(refused.stderr).toMatch(
      /^nothing was written, because the value could not be tested: .*; try again, or/,
    );
    expect(sure).toMatchObject({ exitCode: 0, stderr: '' });
    expect(Object.keys(JSON.parse(sure.stdout))).toEqual(await fieldsOf('fill-secret'));
  });

  test('that was broken shows in doctor and sweep, and is fixed once it is filled in', async () => {
    const { spotifyClient, cloud } = stack.stack;
    const name = cloud.template.outputs['SpotifySecretArn'] ?? '';
    const user = await stack.createConnectedUser(60);

    cloud.secretsManager.putSecretValue(name, JSON.stringify({ ...spotifyClient, client_secret: 'canary' }));
    await cloud.lambda.stopIdleEnvironments();
    const diagnosis = await operate(['doctor']);
    const failed = await operate(['sweep']);
    await fillSecret('spotify', JSON.stringify(spotifyClient));
    await cloud.lambda.stopIdleEnvironments();
    await stack.sql('update spotify_auth.shared_state set not_before = null');
    const healed = await resultOf('refresh', user.id);

    expect(diagnosis.exitCode).toBe(1);
    expect(diagnosis.stdout).toMatch(/^FAIL {2}spotify client .*operate -- fill-secret spotify --stage/m);
    expect(failed).toMatchObject({ exitCode: 1, stdout: '' });
    expect(failed.stderr).toMatch(/^the sweeper failed: SweepFailedError: .*"fill-secret spotify".*\n$/);
    expect(healed).toEqual({ user_id: user.id, outcome: 'refreshed' });
  });

  test('into an empty secret needs no option, and has nothing to go back to', async () => {
    const { spotifyClient, cloud } = stack.stack;
    cloud.secretsManager.clearSecretValue(cloud.template.outputs['SpotifySecretArn'] ?? '');

    const { stdout } = await operate(['fill-secret', 'spotify'], {
      run: runOperate,
      standardInput: JSON.stringify(spotifyClient),
    });

    expect(stdout).toMatch(/version [0-9a-f-]{36} is current\.\nThere was no earlier version\.\n$/);
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

    expect(before).not.toContain('<stage>');
    expect(before.match(/fill-secret spotify/g)).toHaveLength(1);
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
      stderr: `no user ${userId} in the Supabase project of ${STACK}: check the id and --stage\n`,
    });
    expect(await operate(['refresh', userId])).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: `user ${userId} has no connection to refresh in ${STACK}: "explain ${userId}" says why\n`,
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
        stderr: `no stack SpotifyAuth-prod in region us-east-1 of account 123456789012, which has ${STACK}: check --stage, AWS_REGION and AWS_PROFILE\n`,
      });
      expect(stack.stack.spotify.calls).toHaveLength(calls);
      expect((await operate(['doctor'])).exitCode).toBe(0);
    },
  );

  test('the local stack, where "npm start" does not run', async () => {
    const { exitCode, stderr } = await operate(['sweep'], { stage: 'local' });

    expect({ exitCode, stderr }).toEqual({
      exitCode: 1,
      stderr: 'no local stack is running: start one with "npm start" and wait for "Ready."\n',
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
    expect(stdout).toMatch(/^FAIL {2}schedule .* is disabled, so no sweeps run: enable it in EventBridge/m);
    expect(stdout).toMatch(/^FAIL {2}alarm topic .*alarms reach no one: set alarmEmail in cdk\.json/m);
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

/** Outputs that lead nowhere, a schedule that does not run, a topic without subscribers. */
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
  for (const command of ['show', 'refresh', 'explain']) {
    for (const name of [user.id, user.email]) await operate([command, name]);
  }
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
