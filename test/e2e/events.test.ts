import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { TestStack } from './test-stack.ts';

const ajv = addFormats.default(new Ajv2020({ allErrors: true }));

let stack: TestStack;

beforeAll(async () => {
  stack = await TestStack.start();
  await stack.sql('delete from auth.users');
});
afterAll(() => stack.stop());
beforeEach(() => stack.stack.cloud.eventBridge.makeTrouble({}));

/** The events about a user, each as its published schema describes it, but for the schema's own facts. */
function eventsAbout(userId: string) {
  return stack.stack.cloud.eventBridge.events.flatMap(({ source, 'detail-type': type, detail }) => {
    const event = detail as Record<string, unknown>;
    if (event['user_id'] !== userId) return [];
    const schema = readFileSync(join(import.meta.dirname, `../../docs/events/${type}.v1.json`), 'utf8');
    expect({ isValid: ajv.validate(JSON.parse(schema), event), errors: ajv.errors }).toMatchObject({
      isValid: true,
    });
    expect([source, event['stack']]).toEqual(['bondhu.spotify-auth', stack.stack.cloud.template.stackName]);
    return [{ type, id: event['id'], reason: event['reason'], days: event['days'] }];
  });
}

/** Users whose six months end in so many days, or up to three less: months differ in length. @returns their ids */
async function createUsersWithDaysLeft(count: number, days: number): Promise<string[]> {
  const [row] = await stack.sql<{ at: Date }>(
    `select now() + make_interval(days => $1) - interval '6 months' as at`,
    [days],
  );
  return stack.createDueConnections(count, { authorizedAt: row?.at.toISOString() ?? '' });
}

test('a user who revokes is announced once: after the time in which it might be a mistake, and after a bus that fails', async () => {
  const { spotify, cloud } = stack.stack;
  const [userId = ''] = await stack.createDueConnections(1);
  spotify.revokeGrants(userId);
  await stack.sweep();
  expect(await stack.usersToldToReconnect()).toEqual([userId]);
  expect(eventsAbout(userId)).toEqual([]);

  await stack.letHoursPass(1);
  const [due = ''] = await stack.createDueConnections(1);
  cloud.eventBridge.makeTrouble({ isFailing: true });
  expect(await stack.sweep()).toMatchObject({ result: { status: 'completed', remaining: 0 } });
  expect(await stack.withoutFreshToken([due])).toEqual([]);
  cloud.eventBridge.makeTrouble({ isThrottling: true });
  expect(await stack.sweep()).toMatchObject({ result: { status: 'completed' } });
  expect(eventsAbout(userId)).toEqual([]);
  cloud.eventBridge.makeTrouble({});
  await stack.sweep();
  await stack.sweep();

  expect(eventsAbout(userId)).toMatchObject([
    { type: 'SpotifyReauthorizationRequired', reason: 'grant_revoked' },
  ]);
});

test.each([
  [20, 30],
  [5, 7],
])('the six-month limit in %d days is announced ahead, once', async (daysLeft, days) => {
  const [userId = ''] = await createUsersWithDaysLeft(1, daysLeft);

  await stack.sweep();
  await stack.sweep();

  expect(eventsAbout(userId)).toMatchObject([{ type: 'SpotifyReauthorizationDue', days }]);
});

test('what could not be recorded as sent is sent again, under the same id', async () => {
  const [userId = ''] = await createUsersWithDaysLeft(1, 20);
  await stack.sql('alter function public.spotify_record_events rename to not_there');
  expect(await stack.sweep()).toMatchObject({ result: { status: 'completed' } });
  await stack.sql('alter function public.not_there rename to spotify_record_events');
  await stack.sweep();
  await stack.sweep();

  const ids = eventsAbout(userId).map(({ id }) => id);
  expect(ids).toHaveLength(2);
  expect(new Set(ids).size).toBe(1);
});

test('thousands are announced by one sweep', async () => {
  const users = await createUsersWithDaysLeft(2_500, 20);

  await stack.sweep();

  const told = new Set(stack.stack.cloud.eventBridge.events.map(({ detail }) => Object(detail).user_id));
  expect(users.filter((user) => !told.has(user))).toEqual([]);
});
