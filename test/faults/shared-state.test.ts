/** What one invocation learns about Spotify holds for all: other functions, other processes, other users. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type Answer, TestStack } from '../e2e/test-stack.ts';

/** Enough for a batch, and too little to wait for a connection that backs off. */
const SWEEPER_TIMEOUT_SECONDS = 40;

let stack: TestStack;

beforeAll(async () => {
  stack = await TestStack.start({ sweeperTimeoutSeconds: SWEEPER_TIMEOUT_SECONDS });
});
afterAll(() => stack.stop());

beforeEach(async () => {
  stack.stack.spotify.setFault(undefined);
  stack.stack.spotify.configure({ rotatesRefreshTokens: true, detectsReuse: true });
  await stack.sql('delete from auth.users');
  await stack.letHoursPass(25);
  stack.stack.spotify.forgetCalls();
});

describe('a 429 with a Retry-After of an hour', () => {
  beforeEach(() => stack.stack.spotify.setFault({ kind: 'status', status: 429, retryAfter: '3600' }));

  test('that a sweep meets holds every status call back, and the next sweep', async () => {
    const ended = await stack.createDueConnections(4, { expiresInSeconds: -60 });
    const working = await stack.createDueConnections(4, { expiresInSeconds: 240 });
    expect((await stack.sweep()).result).toMatchObject({ status: 'throttled' });
    await expectEverybodyWaits(ended, working);
  });

  test('that a status call meets holds every other back, and the sweeps', async () => {
    const [first = '', ...ended] = await stack.createDueConnections(4, { expiresInSeconds: -60 });
    const working = await stack.createDueConnections(4, { expiresInSeconds: 240 });
    expectToWaitAnHour(await stack.status(first));
    await expectEverybodyWaits(ended, working);
  });

  test('is over after that hour', async () => {
    const users = await stack.createDueConnections(8, { expiresInSeconds: -60 });
    await stack.sweep();
    stack.stack.spotify.setFault(undefined);
    await stack.letHoursPass(1);

    const [first = '', ...others] = users;
    expect((await stack.status(first)).body).toMatchObject({ connected: true, auto_refreshed: true });
    expect((await stack.sweep()).result).toMatchObject({ status: 'completed', refreshed: others.length });
    expect(await stack.withoutFreshToken(users)).toEqual([]);
  });
});

test('a client that one status call finds rejected holds the sweeps back for a minute, and changes nobody', async () => {
  const users = await stack.createDueConnections(4, { expiresInSeconds: -60 });
  const before = await stack.profilesOf(users);
  stack.stack.spotify.setFault({ kind: 'error', error: 'invalid_client' });

  expect((await stack.status(users[0] ?? '')).body).toMatchObject({ connected: false, retryable: true });
  expect((await stack.sweep()).result).toMatchObject({ status: 'throttled', total: 0, remaining: 4 });

  expect(stack.stack.spotify.calls).toHaveLength(1);
  expect(await stack.profilesOf(users)).toEqual(before);
});

describe('the revocation breaker', () => {
  test('undoes what status calls had believed as soon as a sweep sees that there are too many', async () => {
    const [first = '', second = '', ...others] = await stack.createDueConnections(6, {
      expiresInSeconds: -60,
    });
    const isWorking = await stack.createDueConnections(1, { expiresInSeconds: 240 });
    stack.stack.spotify.setFault({ kind: 'error', error: 'invalid_grant' });
    // Two are everyday, and believed.
    for (const { body } of await Promise.all([stack.status(first), stack.status(second)])) {
      expect(body).toMatchObject({ connected: false, retryable: false });
    }
    expect(await stack.usersToldToReconnect()).toEqual([first, second].sort());

    expect((await stack.sweep()).result).toMatchObject({ refreshed: 0, total: others.length + 1 });

    expect(await stack.usersToldToReconnect()).toEqual([]);
    for (const { body } of await Promise.all([first, second, ...others].map((id) => stack.status(id)))) {
      expect(body).toMatchObject({ connected: false, retryable: true });
    }
    expect((await stack.status(isWorking[0] ?? '')).body).toMatchObject({ connected: true, degraded: true });

    stack.stack.spotify.setFault(undefined);
    await stack.letHoursPass(1);
    expect((await stack.sweep()).result).toMatchObject({ status: 'completed', refreshed: 7, revoked: 0 });
    expect(await stack.sql('select breaker_opened_at from spotify_auth.shared_state')).toEqual([
      { breaker_opened_at: null },
    ]);
  });
});

/** Each process answers at once, from stored data; none asks Spotify again. */
async function expectEverybodyWaits(ended: readonly string[], working: readonly string[]): Promise<void> {
  const { spotify } = stack.stack;
  spotify.forgetCalls();
  const [endedAnswers, workingAnswers] = await Promise.all([
    Promise.all(ended.map((id) => stack.status(id))),
    Promise.all(working.map((id) => stack.status(id))),
  ]);
  endedAnswers.forEach(expectToWaitAnHour);
  for (const { body } of workingAnswers) {
    expect(body).toMatchObject({ connected: true, degraded: true, auto_refreshed: false });
  }
  // It ends although an hour is left.
  expect((await stack.sweep()).result).toMatchObject({ status: 'throttled', total: 0 });
  expect(spotify.calls).toEqual([]);
}

function expectToWaitAnHour({ body }: Answer): void {
  expect(body).toMatchObject({ connected: false, reason: 'token_refresh_failed', retryable: true });
  expect(body.retry_after).toBeGreaterThan(3_000);
  expect(body.retry_after).toBeLessThanOrEqual(3_600);
}
