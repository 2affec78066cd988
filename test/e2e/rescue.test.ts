import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { findLeaks } from './canaries.ts';
import { type ConnectedUser, TestStack } from './test-stack.ts';

/** A sweep claims until 27.5 s before its end: seconds enough on a busy machine, and it soon runs out of time. */
const SWEEPER_TIMEOUT_SECONDS = 31;

let stack: TestStack;

beforeAll(async () => {
  stack = await TestStack.start({ sweeperTimeoutSeconds: SWEEPER_TIMEOUT_SECONDS });
  await stack.sweep();
  // As strict as a server can be: it revokes the grant when a refresh token is sent a second time.
  stack.stack.spotify.configure({
    rotatesRefreshTokens: true,
    detectsReuse: true,
    latencyMillis: 300,
  });
});

afterAll(async () => {
  await stack.stop();
});

test('a message that cannot be decrypted ends in the dead-letter queue, and stops no sweep', async () => {
  const { queues } = stack.stack.cloud;
  const queue = queues.get(stackQueueUrl());
  const deadLetterQueue = queues.get(stack.stack.cloud.template.outputs['RescueDeadLetterQueueArn'] ?? '');
  queue.send('not for us');

  for (let sweeps = 0; sweeps < 11; sweeps += 1) {
    expect(await stack.sweep()).toMatchObject({ functionError: undefined, result: { status: 'completed' } });
    queue.showAgain();
  }

  expect(queue.messages).toEqual([]);
  expect(deadLetterQueue.messages).toMatchObject([{ body: 'not for us' }]);
  expect(stack.logLines.filter((line) => line.includes('RESCUE_MESSAGE_UNREADABLE'))).toHaveLength(10);
});

test("a new refresh token that a constraint of Bondhu's refuses waits there until the constraint is gone", async () => {
  const refused = await stack.createConnectedUser(1_200);
  await stack.sql(
    `alter table public.profiles add constraint is_frozen check (id <> '${refused.id}') not valid`,
  );

  for (let sweeps = 0; sweeps < 2; sweeps += 1) {
    expect(await stack.sweep()).toMatchObject({ functionError: undefined, result: { remaining: 1 } });
    stack.stack.cloud.queues.get(stackQueueUrl()).showAgain();
  }
  expect((await stack.status(refused.id)).body).toMatchObject({ connected: true });
  const lines = stack.logLines.filter((line) => line.includes('profile refuses its tokens'));
  expect(lines.length).toBeGreaterThan(1);
  for (const line of lines) {
    expect(JSON.parse(line)).toMatchObject({
      user_id: refused.id,
      sql_state: '23514',
      constraint: 'is_frozen',
    });
  }

  await stack.sql('alter table public.profiles drop constraint is_frozen');
  await expectRescueOf([refused]);
});

describe('when Supabase goes down between the answer of a strict Spotify and the write', () => {
  test('a status call sends the new tokens to the rescue queue, and the next sweep stores them', async () => {
    const user = await stack.createConnectedUser(-60);

    const answer = await loseSupabaseMidway(() => stack.status(user.id));

    expect(answer).toMatchObject({ status: 200, body: { connected: false, retryable: true } });
    await expectRescueOf([user]);
  });

  test('a sweep does the same for all whom it had asked about', async () => {
    const users = await Promise.all(Array.from({ length: 12 }, () => stack.createConnectedUser(1_200)));

    const { functionError } = await loseSupabaseMidway(() => stack.sweep());

    expect(functionError).toBe('Unhandled');
    // On a busy machine the first write may fail before the others have been asked about: they are given back unasked.
    const asked = users.filter(({ id }) => stack.spotifyCallsFor(id).length > 0);
    expect(asked.length).toBeGreaterThan(0);
    await expectRescueOf(asked, { total: users.length - asked.length });
  });

  test('and the queue too, the log says so, by user and code', async () => {
    const user = await stack.createConnectedUser(-60);
    stack.stack.cloud.sqs.makeTrouble(true);

    await loseSupabaseMidway(() => stack.status(user.id));
    stack.stack.cloud.sqs.makeTrouble(false);

    const lines = stack.logLines.filter((line) => line.includes('could not be rescued'));
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { level: 'ERROR', user_id: user.id, code: 'RESCUE_QUEUE_UNAVAILABLE' },
    ]);
  });
});

/** Takes Supabase away as soon as Spotify has been asked, and gives it back when the call is over. */
async function loseSupabaseMidway<Result>(call: () => Promise<Result>): Promise<Result> {
  const { spotify, supabase } = stack.stack;
  const asked = spotify.nextTokenRequest();
  const result = call();
  // A call that ends without asking has failed for another reason.
  if ((await Promise.race([asked, result.then(() => 'over')])) === 'over') {
    throw new Error(`Spotify was not asked: ${JSON.stringify(await result)}`);
  }
  await supabase.setFault({ kind: 'reset' });
  try {
    return await result;
  } finally {
    await supabase.setFault(undefined);
  }
}

/** Of users whose new tokens are in the queue and nowhere else: sealed; then stored by the next sweep, and good. */
async function expectRescueOf(users: readonly ConnectedUser[], nextSweep = { total: 0 }): Promise<void> {
  const queue = stack.stack.cloud.queues.get(stackQueueUrl());
  const bodies = queue.messages.map(({ body }) => body);
  expect(bodies.map((body) => JSON.parse(body).user_id).sort()).toEqual(users.map(({ id }) => id).sort());
  for (const { id, refreshToken } of users) {
    expect((await stack.profile(id)).spotify_refresh_token).toBe(refreshToken);
  }

  expect(await stack.sweep()).toMatchObject({ result: { ...nextSweep, remaining: 0 } });

  expect(queue.messages).toEqual([]);
  const canaries: Record<string, string> = {};
  for (const { id, accessToken, refreshToken } of users) {
    const profile = await stack.profile(id);
    expect(profile.spotify_refresh_token).not.toBe(refreshToken);
    expect(stack.stack.spotify.acceptsAccessToken(profile.spotify_access_token ?? '')).toBe(true);
    expect(stack.spotifyCallsFor(id)).toHaveLength(1);
    canaries[`old tokens of ${id}`] = refreshToken;
    canaries[`old access token of ${id}`] = accessToken;
    canaries[`new refresh token of ${id}`] = profile.spotify_refresh_token ?? '';
    canaries[`new access token of ${id}`] = profile.spotify_access_token ?? '';
    // The grant has survived: the token that was rescued refreshes.
    expect(await stack.sweep({ command: 'refresh', userId: id })).toMatchObject({
      result: { outcome: 'refreshed' },
    });
  }
  expect(findLeaks(canaries, [...bodies, ...stack.logLines])).toEqual([]);
}

function stackQueueUrl(): string {
  const [queue] = stack.stack.cloud.template
    .resourcesOfType('AWS::SQS::Queue')
    .filter(({ logicalId }) => /^RescueQueue[0-9A-F]{8}$/.test(logicalId));
  return queue?.ref ?? '';
}
