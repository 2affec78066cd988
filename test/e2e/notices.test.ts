import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { TestStack } from './test-stack.ts';

const day = 24 * 60 * 60 * 1_000;

let stack: TestStack;

beforeAll(async () => {
  stack = await TestStack.start();
  await stack.sweep();
});
afterAll(() => stack.stop());
beforeEach(() => stack.stack.cloud.eventBridge.makeTrouble({}));

/** What the bus was told of a user, in that order. */
function toldOf(userId: string) {
  return stack.stack.cloud.eventBridge.events
    .map((event) => ({
      detailType: event['detail-type'],
      detail: event.detail as Record<string, unknown>,
    }))
    .filter(({ detail }) => detail['user_id'] === userId);
}

/** Users whose six months end in so many days. */
function usersWithDaysLeft(count: number, days: number): Promise<string[]> {
  const authorizedAt = new Date();
  authorizedAt.setUTCMonth(authorizedAt.getUTCMonth() - 6);
  return stack.createDueConnections(count, {
    expiresInSeconds: 3_000,
    authorizedAt: new Date(authorizedAt.getTime() + days * day).toISOString(),
  });
}

describe('other teams', () => {
  test('hear of a grant that will end, once, by the event that is documented', async () => {
    const [user = ''] = await usersWithDaysLeft(1, 5);

    await stack.sweep();
    await stack.sweep();

    expect(toldOf(user)).toEqual([
      {
        detailType: 'SpotifyReauthorizationDue',
        detail: {
          version: '1',
          id: expect.any(String),
          stack: 'SpotifyAuth-local',
          user_id: user,
          days: 7,
          connected_at: expect.stringMatching(/Z$/),
          reauthorize_by: expect.stringMatching(/Z$/),
        },
      },
    ]);
  });

  test('hear of a dead grant from the first sweep that can be sure of it', async () => {
    const { id } = await stack.createConnectedUser(-60);
    stack.stack.spotify.revokeGrants(id);
    await stack.sql("update spotify_auth.service set notices_since = now() - interval '1 day'");

    await stack.sweep();
    expect(toldOf(id)).toEqual([]);

    await stack.letHoursPass(1);
    await stack.sweep();
    expect(toldOf(id)).toMatchObject([
      { detailType: 'SpotifyReauthorizationRequired', detail: { user_id: id, reason: 'grant_revoked' } },
    ]);
  });

  test('hear later what the bus did not take: the sweep refreshes all the same, and the next one sends', async () => {
    const [noticed = ''] = await usersWithDaysLeft(1, 20);
    const [due = ''] = await stack.createDueConnections(1);
    stack.stack.cloud.eventBridge.makeTrouble({ isFailing: true });

    expect((await stack.sweep()).result).toMatchObject({ status: 'completed', remaining: 0 });
    expect(await stack.withoutFreshToken([due])).toEqual([]);
    expect(toldOf(noticed)).toEqual([]);

    stack.stack.cloud.eventBridge.makeTrouble({});
    await stack.sweep();
    expect(toldOf(noticed)).toMatchObject([{ detail: { days: 30 } }]);
  });

  test('hear again, under the same id, what could not be recorded as sent', async () => {
    const [user = ''] = await usersWithDaysLeft(1, 20);
    await stack.sql('alter function public.spotify_record_notices rename to not_there');

    expect((await stack.sweep()).result).toMatchObject({ status: 'completed' });
    await stack.sql('alter function public.not_there rename to spotify_record_notices');
    await stack.sweep();
    await stack.sweep();

    const ids = toldOf(user).map(({ detail }) => detail['id']);
    expect(ids).toHaveLength(2);
    expect(new Set(ids).size).toBe(1);
  });

  test('hear of thousands at once', async () => {
    const users = await usersWithDaysLeft(2_500, 20);

    await stack.sweep();

    const told = new Set(stack.stack.cloud.eventBridge.events.map(({ detail }) => Object(detail).user_id));
    expect(users.filter((user) => !told.has(user))).toEqual([]);
  });
});
