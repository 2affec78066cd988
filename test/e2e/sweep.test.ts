import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { TestStack } from './test-stack.ts';

let stack: TestStack;

beforeAll(async () => {
  stack = await TestStack.start({ hasSampleUsers: true });
});

afterAll(async () => {
  await stack.stop();
});

/** Every profile as text, so that a change of any column shows. */
async function allProfiles(): Promise<Map<string, string>> {
  const rows = await stack.sql<{ id: string; row: string }>(
    'select id, p::text as row from public.profiles p',
  );
  return new Map(rows.map(({ id, row }) => [id, row]));
}

describe('a sweep over users in every state', () => {
  test('leaves nothing due, stores only tokens that Spotify accepts, and touches nothing else', async () => {
    const before = await allProfiles();

    const { result, functionError } = await stack.sweep({
      command: 'sweep',
      scheduledAt: new Date().toISOString(),
    });

    expect(functionError).toBeUndefined();
    expect(result).toMatchObject({
      status: 'completed',
      refreshed: 3,
      revoked: 2,
      failed: 0,
      total: 5,
      remaining: 0,
    });
    expect(await stack.dueCount()).toBe(0);

    const after = await allProfiles();
    const changed = [...after].filter(([id, row]) => before.get(id) !== row).map(([id]) => id);
    const stateOf = (id: string) => stack.stack.users.find((user) => user.id === id)?.state;
    expect(changed.map(stateOf).sort()).toEqual(['expired', 'expiring', 'without-expiry']);
    for (const id of changed) {
      const profile = await stack.profile(id);
      expect(stack.stack.spotify.acceptsAccessToken(profile.spotify_access_token ?? '')).toBe(true);
      expect(profile.spotify_token_expires_at?.getTime()).toBeGreaterThan(Date.now() + 3_500_000);
    }
  });

  test('asks Spotify about a dead grant once, and not again with the next sweep', async () => {
    const dead = stack.stack.users.filter(({ state }) => ['revoked', 'past-six-months'].includes(state));
    const callsBefore = dead.map(({ id }) => stack.spotifyCallsFor(id).length);

    await stack.sweep();

    expect(dead.map(({ id }) => stack.spotifyCallsFor(id).length)).toEqual(callsBefore);
    for (const { id } of dead) {
      expect((await stack.status(id)).body).toMatchObject({ connected: false, retryable: false });
    }
  });
});

test('a grant that Spotify called dead by mistake is connected again by a later sweep, without its user', async () => {
  const [mistaken = '', dead = ''] = await stack.createDueConnections(2);
  stack.stack.spotify.revokeGrants(dead);
  stack.stack.spotify.setFault({ kind: 'error', error: 'invalid_grant' });
  await stack.sweep();
  stack.stack.spotify.setFault(undefined);
  expect(await stack.usersToldToReconnect()).toEqual(expect.arrayContaining([mistaken, dead]));

  await stack.letHoursPass(25);
  await stack.sweep();

  expect(await stack.withoutFreshToken([mistaken])).toEqual([]);
  expect((await stack.status(mistaken)).body).toMatchObject({ connected: true });
  expect((await stack.status(dead)).body).toMatchObject({ connected: false, retryable: false });
});

describe('more connections than one answer of the REST API may hold', () => {
  const COUNT = 2_500;

  test('are all refreshed, each once', async () => {
    const ids = await stack.createDueConnections(COUNT);
    const callsBefore = stack.stack.spotify.calls.length;

    const { result } = await stack.sweep();

    expect(result).toMatchObject({ status: 'completed', refreshed: COUNT, total: COUNT, remaining: 0 });
    const asked = stack.stack.spotify.calls.slice(callsBefore).map((call) => call.userId);
    expect(asked.sort()).toEqual(ids.sort());
    expect(await stack.dueCount()).toBe(0);
  });
});

describe('the sweeper by hand', () => {
  test('refreshes one user however fresh the token is', async () => {
    const user = await stack.createConnectedUser(3_000);

    const { result } = await stack.sweep({ command: 'refresh', userId: user.id });

    expect(result).toEqual({ user_id: user.id, outcome: 'refreshed' });
    expect((await stack.profile(user.id)).spotify_access_token).not.toBe(user.accessToken);
  });

  test.each([
    [{ foo: 1 }],
    [{ command: 'refresh', userId: 'not-a-uuid' }],
    [{ command: 'sweep', scheduledAt: 'soon' }],
    [[]],
    ['sweep'],
    [null],
  ])('refuses %j with an error that says what it takes', async (event) => {
    const { result, functionError } = await stack.sweep(event);

    expect(functionError).toBe('Unhandled');
    expect(result['errorType']).toBe('UnexpectedEventError');
    expect(result['errorMessage']).toContain('{"command": "refresh", "userId": "<uuid>"}');
  });
});

describe('the schedule', () => {
  test('is shorter than the window of the running function, by the slack that a sweep needs', async () => {
    const [schedule] = stack.stack.cloud.template.resourcesOfType('AWS::Scheduler::Schedule');
    const minutes = Number(
      /^rate\((\d+) minutes\)$/.exec(schedule?.properties.ScheduleExpression ?? '')?.[1],
    );
    const inside = await stack.createConnectedUser((minutes + 5 + 5) * 60 - 20);
    const outside = await stack.createConnectedUser((minutes + 5 + 5) * 60 + 20);

    await stack.sweep();

    expect(stack.spotifyCallsFor(inside.id)).toHaveLength(1);
    expect(stack.spotifyCallsFor(outside.id)).toHaveLength(0);
  });
});

describe('when Spotify refuses our client', () => {
  test('the sweep fails, and not one connection changes', async () => {
    const { cloud, spotifyClient } = stack.stack;
    const user = await stack.createConnectedUser(-60);
    const fillIn = async (client: object) => {
      cloud.secretsManager.putSecretValue(
        cloud.template.outputs['SpotifySecretArn'] ?? '',
        JSON.stringify(client),
      );
      await cloud.lambda.stopIdleEnvironments();
    };
    await fillIn({ ...spotifyClient, client_secret: 'rotated-at-spotify-but-not-here' });
    const before = await allProfiles();

    const { result, functionError } = await stack.sweep();
    const after = await allProfiles();
    await fillIn(spotifyClient);
    // The minute without calls to Spotify after that.
    await stack.sql('update spotify_auth.shared_state set not_before = null');

    expect(functionError).toBe('Unhandled');
    expect(result['errorType']).toBe('SweepFailedError');
    expect(after).toEqual(before);
    expect((await stack.status(user.id)).body).toMatchObject({ connected: true, auto_refreshed: true });
  });
});
