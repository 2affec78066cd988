/** Whatever becomes of Secrets Manager, or of what is written there, while instances of the functions start or live. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { TestStack } from '../e2e/test-stack.ts';

type SecretOutput = 'SupabaseSecretArn' | 'SpotifySecretArn';

/** Starts a fault; `putRight` ends every one. */
type Cell = readonly [what: string, strike: () => void];

const CELLS: readonly Cell[] = [
  ['access is denied', () => secretsManager().makeTrouble({ isDenying: true })],
  ['it answers with an internal error', () => secretsManager().makeTrouble({ isFailing: true })],
  ['it does not answer in time', () => secretsManager().makeTrouble({ delayInMillis: 3_000 })],
  ["Supabase's secret is empty", () => secretsManager().clearSecretValue(secretNamed('SupabaseSecretArn'))],
  ["Supabase's secret is not JSON", () => put('SupabaseSecretArn', 'sb_secret_x')],
  ["Supabase's secret lacks its key", () => put('SupabaseSecretArn', '{"key": "sb_secret_x"}')],
  ["Supabase's secret has another key", () => put('SupabaseSecretArn', '{"secret_key": "sb_secret_other"}')],
  ["Spotify's secret is empty", () => secretsManager().clearSecretValue(secretNamed('SpotifySecretArn'))],
  ["Spotify's secret is not JSON", () => put('SpotifySecretArn', 'client id and secret')],
  ["Spotify's secret lacks the client's", () => put('SpotifySecretArn', '{"client_id": "x"}')],
];

let stack: TestStack;

beforeAll(async () => {
  stack = await TestStack.start();
  stack.stack.spotify.configure({ rotatesRefreshTokens: true, detectsReuse: true });
});
afterAll(() => stack.stop());

beforeEach(async () => {
  putRight();
  await stack.stack.cloud.lambda.stopIdleEnvironments();
  await stack.sql('delete from auth.users');
  await stack.letHoursPass(1);
  stack.stack.spotify.forgetCalls();
});

describe('while an instance starts', () => {
  test.each(CELLS)('%s: a status call is answered with 503, and nothing is lost', async (_what, strike) => {
    const [user = ''] = await stack.createDueConnections(1, { expiresInSeconds: -60 });
    const before = await stack.profilesOf([user]);
    strike();

    const answer = await stack.status(user);

    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '10']);
    expect(stack.stack.spotify.calls).toEqual([]);
    expect(await stack.profilesOf([user])).toEqual(before);
    expect(await leasedOrMarked()).toEqual([]);

    putRight();
    await stack.stack.cloud.lambda.stopIdleEnvironments();
    expect((await stack.status(user)).body).toMatchObject({ connected: true, auto_refreshed: true });
    await expectNothingLost([user]);
  });

  test.each(CELLS)('%s: a sweep fails, and nothing is lost', async (_what, strike) => {
    const users = await stack.createDueConnections(5);
    const before = await stack.profilesOf(users);
    strike();

    const { functionError, result } = await stack.sweep();

    expect(functionError).toBe('Unhandled');
    expect(result['errorType']).toMatch(/^(SecretError|StoreError)$/);
    expect(stack.stack.spotify.calls).toEqual([]);
    expect(await stack.profilesOf(users)).toEqual(before);
    expect(await leasedOrMarked()).toEqual([]);

    putRight();
    await stack.stack.cloud.lambda.stopIdleEnvironments();
    expect((await stack.sweep()).result).toMatchObject({ status: 'completed', refreshed: 5, remaining: 0 });
    await expectNothingLost(users);
  });

  test('it is slow: both functions wait for it, and work', async () => {
    const [user = ''] = await stack.createDueConnections(1, { expiresInSeconds: -60 });
    secretsManager().makeTrouble({ delayInMillis: 1_000 });

    expect((await stack.status(user)).body).toMatchObject({ connected: true, auto_refreshed: true });
    await stack.createDueConnections(1);
    expect((await stack.sweep()).result).toMatchObject({ status: 'completed', refreshed: 1 });
  });
});

describe('while instances live', () => {
  test('an outage costs nothing: they keep what they have read', async () => {
    await startInstances();
    const [ended = ''] = await stack.createDueConnections(1, { expiresInSeconds: -60 });
    secretsManager().makeTrouble({ isFailing: true });

    expect((await stack.status(ended)).body).toMatchObject({ connected: true, auto_refreshed: true });
    const [due = ''] = await stack.createDueConnections(1);
    expect((await stack.sweep()).result).toMatchObject({ status: 'completed', refreshed: 1 });
    await expectNothingLost([ended, due]);
  });

  test.each<[string, SecretOutput, string]>([
    ["Spotify's client secret", 'SpotifySecretArn', '{"client_id": "x", "client_secret": "of-yesterday"}'],
    ["Supabase's key", 'SupabaseSecretArn', '{"secret_key": "sb_secret_of_yesterday"}'],
  ])('%s is rotated: both functions take the new one up by themselves', async (_what, name, rejected) => {
    put(name, rejected);
    await startInstances();
    const [ended = ''] = await stack.createDueConnections(1, { expiresInSeconds: -60 });
    const [due = ''] = await stack.createDueConnections(1);
    expect((await stack.status(ended)).body).not.toMatchObject({ connected: true });
    expect((await stack.sweep({ command: 'refresh', userId: due })).result).not.toMatchObject({
      outcome: 'refreshed',
    });

    putRight();

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
    await expectNothingLost([ended, due]);
  });
});

function secretsManager() {
  return stack.stack.cloud.secretsManager;
}

function secretNamed(name: SecretOutput): string {
  return stack.stack.cloud.template.outputs[name] ?? '';
}

function put(name: SecretOutput, value: string): void {
  secretsManager().putSecretValue(secretNamed(name), value);
}

function putRight(): void {
  const { supabase, spotifyClient } = stack.stack;
  secretsManager().makeTrouble({});
  put('SpotifySecretArn', JSON.stringify(spotifyClient));
  put(
    'SupabaseSecretArn',
    JSON.stringify({ secret_key: supabase.secretKey, jwt_secret: supabase.jwtSecret }),
  );
}

/** Lets an instance of each function read its secrets. */
async function startInstances(): Promise<void> {
  await Promise.all([stack.status('00000000-0000-4000-8000-000000000000'), stack.sweep('not an event')]);
}

/** Users whose connection is leased, or who are told to reconnect. */
async function leasedOrMarked(): Promise<object[]> {
  return stack.sql(
    `select user_id from spotify_auth.connections
      where lease_id is not null or reauthorization_required_since is not null`,
  );
}

async function expectNothingLost(users: readonly string[]): Promise<void> {
  expect(await stack.withoutFreshToken(users)).toEqual([]);
  expect(await stack.usersToldToReconnect()).toEqual([]);
}
