import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
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
    return [{ type, reason: event['reason'], days: event['days'] }];
  });
}

test('a user who revokes is announced once: after the time in which it might be a mistake, and after a bus that fails', async () => {
  const { spotify, cloud } = stack.stack;
  const [userId = ''] = await stack.createDueConnections(1);
  spotify.revokeGrants(userId);
  await stack.sweep();
  expect(await stack.usersToldToReconnect()).toEqual([userId]);
  expect(eventsAbout(userId)).toEqual([]);

  await stack.letHoursPass(1);
  cloud.eventBridge.makeTrouble({ isFailing: true });
  expect(await stack.sweep()).toMatchObject({ result: { status: 'completed' } });
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

test('the six-month limit is announced ahead, once', async () => {
  const twentyDaysBefore = new Date();
  twentyDaysBefore.setUTCMonth(twentyDaysBefore.getUTCMonth() - 6);
  twentyDaysBefore.setUTCDate(twentyDaysBefore.getUTCDate() + 20);
  const [userId = ''] = await stack.createDueConnections(1, { authorizedAt: twentyDaysBefore.toISOString() });

  await stack.sweep();
  await stack.sweep();

  expect(eventsAbout(userId)).toMatchObject([{ type: 'SpotifyReauthorizationDue', days: 30 }]);
});
