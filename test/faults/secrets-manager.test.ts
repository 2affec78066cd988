/** Whatever becomes of Secrets Manager, or of what is written there, while instances of the functions start or live. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { SecretsManager } from 'cdk-out-local';
import { TestStack } from '../e2e/test-stack.ts';

type SecretOutput = 'SupabaseSecretArn' | 'SpotifySecretArn';

/** Starts a fault; `putRight` ends every one. */
type Strike = (stack: TestStack) => void;

const CELLS: readonly [what: string, Strike][] = [
  ['access is denied', makeTrouble({ isDenying: true })],
  ['it answers with an internal error', makeTrouble({ isFailing: true })],
  ["Supabase's secret is empty", empty('SupabaseSecretArn')],
  ["Supabase's secret is not JSON", fillIn('SupabaseSecretArn', 'sb_secret_x')],
  ["Supabase's secret lacks its key", fillIn('SupabaseSecretArn', '{"key": "sb_secret_x"}')],
  ["Supabase's secret has another key", fillIn('SupabaseSecretArn', '{"secret_key": "sb_secret_other"}')],
  ["Spotify's secret is empty", empty('SpotifySecretArn')],
  ["Spotify's secret is not JSON", fillIn('SpotifySecretArn', 'client id and secret')],
  ["Spotify's secret lacks the client's", fillIn('SpotifySecretArn', '{"client_id": "x"}')],
];

let shared: TestStack;

beforeAll(async () => {
  shared = await startStrictStack();
});
afterAll(() => shared.stop());

beforeEach(async () => {
  putRight(shared);
  await shared.stack.cloud.lambda.stopIdleEnvironments();
  await shared.sql('delete from auth.users');
  await shared.letHoursPass(1);
  shared.stack.spotify.forgetCalls();
});

describe('while an instance starts', () => {
  test.each(CELLS)('%s: a status call is answered with 503, and nothing is lost', (_what, strike) =>
    expectStatusCallToFail(shared, strike),
  );

  test.each(CELLS)('%s: a sweep fails, and nothing is lost', (_what, strike) =>
    expectSweepToFail(shared, strike),
  );
});

describe('while instances live', () => {
  test('an outage costs nothing: they keep what they have read', async () => {
    await startInstances(shared);
    const [ended = ''] = await shared.createDueConnections(1, { expiresInSeconds: -60 });
    makeTrouble({ isFailing: true })(shared);

    expect((await shared.status(ended)).body).toMatchObject({ connected: true, auto_refreshed: true });
    const [due = ''] = await shared.createDueConnections(1);
    expect((await shared.sweep()).result).toMatchObject({ status: 'completed', refreshed: 1 });
    await expectNothingLost(shared, [ended, due]);
  });
});

/** Each has a stack of its own, so that they wait at the same time. */
describe('while time goes by', () => {
  const isLate = makeTrouble({ delayInMillis: 3_000 });

  test.concurrent('it does not answer in time: a status call is answered with 503, and nothing is lost', async () => {
    await using stack = await startStrictStack();
    await expectStatusCallToFail(stack, isLate);
  });

  test.concurrent('it does not answer in time: a sweep fails, and nothing is lost', async () => {
    await using stack = await startStrictStack();
    await expectSweepToFail(stack, isLate);
  });

  test.concurrent('it is slow: both functions wait for it, and work', async () => {
    await using stack = await startStrictStack();
    const [user = ''] = await stack.createDueConnections(1, { expiresInSeconds: -60 });
    makeTrouble({ delayInMillis: 1_000 })(stack);

    expect((await stack.status(user)).body).toMatchObject({ connected: true, auto_refreshed: true });
    await stack.createDueConnections(1);
    expect((await stack.sweep()).result).toMatchObject({ status: 'completed', refreshed: 1 });
  });

  test.concurrent.each<[string, SecretOutput, string]>([
    ["Spotify's client secret", 'SpotifySecretArn', '{"client_id": "x", "client_secret": "of-yesterday"}'],
    ["Supabase's key", 'SupabaseSecretArn', '{"secret_key": "sb_secret_of_yesterday"}'],
  ])('%s is rotated: both functions take the new one up by themselves', async (_what, name, rejected) => {
    await using stack = await startStrictStack();
    fillIn(name, rejected)(stack);
    await startInstances(stack);
    const [ended = ''] = await stack.createDueConnections(1, { expiresInSeconds: -60 });
    const [due = ''] = await stack.createDueConnections(1);
    expect((await stack.status(ended)).body).not.toMatchObject({ connected: true });
    expect((await stack.sweep({ command: 'refresh', userId: due })).result).not.toMatchObject({
      outcome: 'refreshed',
    });

    putRight(stack);

    // A value that was read a moment ago is not read again at once.
    for (;;) {
      // The minute without calls to Spotify after it rejected our client.
      await stack.sql('update spotify_auth.shared_state set not_before = null');
      await stack.sql('update spotify_auth.connections set claimable_at = null where lease_id is null');
      const answer = await stack.status(ended);
      const sweep = await stack.sweep({ command: 'refresh', userId: due });
      if (answer.body.connected === true && sweep.result['outcome'] === 'refreshed') break;
      await sleep(500);
    }
    await expectNothingLost(stack, [ended, due]);
  });
});

/** Its Spotify is as strict as a server can be: it rotates refresh tokens, and revokes the grant when one is sent twice. */
async function startStrictStack(): Promise<TestStack> {
  const stack = await TestStack.start();
  stack.stack.spotify.configure({ rotatesRefreshTokens: true, detectsReuse: true });
  return stack;
}

async function expectStatusCallToFail(stack: TestStack, strike: Strike): Promise<void> {
  const [user = ''] = await stack.createDueConnections(1, { expiresInSeconds: -60 });
  const before = await stack.profilesOf([user]);
  strike(stack);

  const answer = await stack.status(user);

  expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '10']);
  expect(stack.stack.spotify.calls).toEqual([]);
  expect(await stack.profilesOf([user])).toEqual(before);
  expect(await leasedOrMarked(stack)).toEqual([]);

  putRight(stack);
  await stack.stack.cloud.lambda.stopIdleEnvironments();
  expect((await stack.status(user)).body).toMatchObject({ connected: true, auto_refreshed: true });
  await expectNothingLost(stack, [user]);
}

async function expectSweepToFail(stack: TestStack, strike: Strike): Promise<void> {
  const users = await stack.createDueConnections(5);
  const before = await stack.profilesOf(users);
  strike(stack);

  const { functionError, result } = await stack.sweep();

  expect(functionError).toBe('Unhandled');
  expect(result['errorType']).toMatch(/^(SecretError|StoreError)$/);
  expect(stack.stack.spotify.calls).toEqual([]);
  expect(await stack.profilesOf(users)).toEqual(before);
  expect(await leasedOrMarked(stack)).toEqual([]);

  putRight(stack);
  await stack.stack.cloud.lambda.stopIdleEnvironments();
  expect((await stack.sweep()).result).toMatchObject({ status: 'completed', refreshed: 5, remaining: 0 });
  await expectNothingLost(stack, users);
}

function makeTrouble(trouble: Parameters<SecretsManager['makeTrouble']>[0]): Strike {
  return ({ stack: { cloud } }) => cloud.secretsManager.makeTrouble(trouble);
}

function fillIn(name: SecretOutput, value: string): Strike {
  return ({ stack: { cloud } }) =>
    cloud.secretsManager.putSecretValue(cloud.template.outputs[name] ?? '', value);
}

function empty(name: SecretOutput): Strike {
  return ({ stack: { cloud } }) => cloud.secretsManager.clearSecretValue(cloud.template.outputs[name] ?? '');
}

function putRight(stack: TestStack): void {
  const { supabase, spotifyClient } = stack.stack;
  makeTrouble({})(stack);
  fillIn('SpotifySecretArn', JSON.stringify(spotifyClient))(stack);
  fillIn(
    'SupabaseSecretArn',
    JSON.stringify({ secret_key: supabase.secretKey, jwt_secret: supabase.jwtSecret }),
  )(stack);
}

/** Lets an instance of each function read its secrets. */
async function startInstances(stack: TestStack): Promise<void> {
  await Promise.all([stack.status('00000000-0000-4000-8000-000000000000'), stack.sweep('not an event')]);
}

/** Users whose connection is leased, or who are told to reconnect. */
async function leasedOrMarked(stack: TestStack): Promise<object[]> {
  return stack.sql(
    `select user_id from spotify_auth.connections
      where lease_id is not null or reauthorization_required_since is not null`,
  );
}

async function expectNothingLost(stack: TestStack, users: readonly string[]): Promise<void> {
  expect(await stack.withoutFreshToken(users)).toEqual([]);
  expect(await stack.usersToldToReconnect()).toEqual([]);
}
