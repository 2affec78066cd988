/** The functions' clocks are wrong, those of the database, of Spotify and of the users are not. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { TestStack } from '../e2e/test-stack.ts';

describe.each([
  ['an hour behind', -3_600],
  ['right', 0],
  ['an hour ahead', 3_600],
])('with clocks that are %s', (_where, clockOffsetSeconds) => {
  let stack: TestStack;

  beforeAll(async () => {
    stack = await TestStack.start({ clockOffsetSeconds });
    await stack.sweep();
  });
  afterAll(() => stack.stop());

  beforeEach(async () => {
    stack.stack.spotify.setFault(undefined);
    stack.stack.spotify.forgetCalls();
    await stack.sql('delete from auth.users');
    await stack.letHoursPass(1);
  });

  /** The wrong clock decides whether a session has ended, so these are long ones. */
  async function status(userId: string) {
    const inThreeHours = Math.floor(Date.now() / 1_000) + 3 * 3_600;
    return stack.status(userId, {
      authorization: `Bearer ${await stack.userToken(userId, { exp: inThreeHours })}`,
    });
  }

  test('the functions are wrong about the time', async () => {
    const [user = ''] = await stack.createDueConnections(1, { expiresInSeconds: 3_000 });
    const before = stack.logLines.length;

    await status(user);

    const [line = '{}'] = stack.logLines.slice(before).filter((text) => text.includes('status answered'));
    const aheadSeconds = (Date.parse(JSON.parse(line).timestamp) - Date.now()) / 1_000;
    // To within a few minutes.
    expect(aheadSeconds).toBeCloseTo(clockOffsetSeconds, -3);
  });

  test('a status call refreshes what has under five minutes left, and nothing else', async () => {
    const [inside = ''] = await stack.createDueConnections(1, { expiresInSeconds: 240 });
    const [outside = ''] = await stack.createDueConnections(1, { expiresInSeconds: 360 });

    expect((await status(inside)).body).toMatchObject({ connected: true, auto_refreshed: true });
    expect((await status(outside)).body).toMatchObject({ connected: true, auto_refreshed: false });
    expect(stack.stack.spotify.calls.map(({ userId }) => userId)).toEqual([inside]);
    await expectAnHour(inside);
  });

  test('a sweep refreshes what is within its window, and nothing else', async () => {
    const [inside = ''] = await stack.createDueConnections(1, { expiresInSeconds: 40 * 60 - 60 });
    const [outside = ''] = await stack.createDueConnections(1, { expiresInSeconds: 40 * 60 + 60 });

    expect((await stack.sweep()).result).toMatchObject({ status: 'completed', refreshed: 1, remaining: 0 });
    expect(stack.stack.spotify.calls.map(({ userId }) => userId)).toEqual([inside]);
    await expectAnHour(inside);
    expect(await stack.withoutFreshToken([outside])).toEqual([outside]);
  });

  test('a Retry-After that is a date is waited for, by both functions', async () => {
    const users = await stack.createDueConnections(2, { expiresInSeconds: -60 });
    const inAnHour = new Date(Date.now() + 3_600_000).toUTCString();
    stack.stack.spotify.setFault({ kind: 'status', status: 429, retryAfter: inAnHour });

    for (const user of users) {
      const { body } = await status(user);
      expect(body).toMatchObject({ connected: false, retryable: true });
      expect(body.retry_after).toBeGreaterThan(3_000);
      expect(body.retry_after).toBeLessThanOrEqual(3_600);
    }
    expect((await stack.sweep()).result).toMatchObject({ status: 'throttled', total: 0, remaining: 2 });
    expect(stack.stack.spotify.calls).toHaveLength(1);
  });

  async function expectAnHour(user: string): Promise<void> {
    const { spotify_token_expires_at: expiresAt } = await stack.profile(user);
    const secondsLeft = ((expiresAt?.getTime() ?? 0) - Date.now()) / 1_000;
    expect(secondsLeft).toBeLessThanOrEqual(3_600);
    expect(secondsLeft).toBeGreaterThan(3_000);
  }
});
