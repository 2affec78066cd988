import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Queue } from 'cdk-out-local';
import { findLeaks } from './canaries.ts';
import { type ConnectedUser, TestStack } from './test-stack.ts';

/** A sweep claims until 27.5 s before its end: seconds enough on a busy machine, and it soon runs out of time. */
const SWEEPER_TIMEOUT_SECONDS = 31;

let shared: TestStack;

beforeAll(async () => {
  shared = await startStrictStack();
});

afterAll(async () => {
  await shared.stop();
});

test('a message that cannot be decrypted ends in the dead-letter queue, and stops no sweep', async () => {
  const { queues } = shared.stack.cloud;
  const queue = rescueQueueOf(shared);
  const deadLetterQueue = queues.get(shared.stack.cloud.template.outputs['RescueDeadLetterQueueArn'] ?? '');
  queue.send('not for us');

  for (let sweeps = 0; sweeps < 11; sweeps += 1) {
    expect(await shared.sweep()).toMatchObject({ functionError: undefined, result: { status: 'completed' } });
    queue.showAgain();
  }

  expect(queue.messages).toEqual([]);
  expect(deadLetterQueue.messages).toMatchObject([{ body: 'not for us' }]);
  expect(shared.logLines.filter((line) => line.includes('RESCUE_MESSAGE_UNREADABLE'))).toHaveLength(10);
});

test("a new refresh token that a constraint of Bondhu's refuses waits there until the constraint is gone", async () => {
  const refused = await shared.createConnectedUser(1_200);
  await shared.sql(
    `alter table public.profiles add constraint is_frozen check (id <> '${refused.id}') not valid`,
  );

  for (let sweeps = 0; sweeps < 2; sweeps += 1) {
    expect(await shared.sweep()).toMatchObject({ functionError: undefined, result: { remaining: 1 } });
    rescueQueueOf(shared).showAgain();
  }
  expect((await shared.status(refused.id)).body).toMatchObject({ connected: true });
  const lines = shared.logLines.filter((line) => line.includes('profile refuses its tokens'));
  expect(lines.length).toBeGreaterThan(1);
  for (const line of lines) {
    expect(JSON.parse(line)).toMatchObject({
      user_id: refused.id,
      sql_state: '23514',
      constraint: 'is_frozen',
    });
  }

  await shared.sql('alter table public.profiles drop constraint is_frozen');
  await expectRescueOf(shared, [refused]);
});

/** Each has a stack of its own, because it lasts as long as a function lasts: so they last at the same time. */
describe('when Supabase goes down between the answer of a strict Spotify and the write', () => {
  test.concurrent('a status call sends the new tokens to the rescue queue, and the next sweep stores them', async () => {
    await using stack = await startStrictStack();
    const user = await stack.createConnectedUser(-60);

    const answer = await loseSupabaseMidway(stack, () => stack.status(user.id));

    expect(answer).toMatchObject({ status: 200, body: { connected: false, retryable: true } });
    await expectRescueOf(stack, [user]);
  });

  test.concurrent('a sweep does the same for all whom it had asked about', async () => {
    await using stack = await startStrictStack();
    const users = await Promise.all(Array.from({ length: 12 }, () => stack.createConnectedUser(1_200)));

    const { functionError } = await loseSupabaseMidway(stack, () => stack.sweep());

    expect(functionError).toBe('Unhandled');
    // On a busy machine the first write may fail before the others have been asked about: they are given back unasked.
    const asked = users.filter(({ id }) => stack.spotifyCallsFor(id).length > 0);
    expect(asked.length).toBeGreaterThan(0);
    await expectRescueOf(stack, asked, { total: users.length - asked.length });
  });

  test.concurrent('and the queue too, the log says so, by user and code', async () => {
    await using stack = await startStrictStack();
    const user = await stack.createConnectedUser(-60);
    stack.stack.cloud.sqs.makeTrouble(true);

    await loseSupabaseMidway(stack, () => stack.status(user.id));

    const lines = stack.logLines.filter((line) => line.includes('could not be rescued'));
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { level: 'ERROR', user_id: user.id, code: 'RESCUE_QUEUE_UNAVAILABLE' },
    ]);
  });
});

/** Its Spotify is as strict as a server can be: it rotates refresh tokens, and revokes the grant when one is sent twice. */
async function startStrictStack(): Promise<TestStack> {
  const stack = await TestStack.start({ sweeperTimeoutSeconds: SWEEPER_TIMEOUT_SECONDS });
  await stack.sweep();
  stack.stack.spotify.configure({
    rotatesRefreshTokens: true,
    detectsReuse: true,
    latencyMillis: 300,
  });
  return stack;
}

/** Takes Supabase away as soon as Spotify has been asked, and gives it back when the call is over. */
async function loseSupabaseMidway<Result>(stack: TestStack, call: () => Promise<Result>): Promise<Result> {
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
async function expectRescueOf(
  stack: TestStack,
  users: readonly ConnectedUser[],
  nextSweep = { total: 0 },
): Promise<void> {
  const queue = rescueQueueOf(stack);
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

function rescueQueueOf({ stack: { cloud } }: TestStack): Queue {
  const [queue] = cloud.template
    .resourcesOfType('AWS::SQS::Queue')
    .filter(({ logicalId }) => /^RescueQueue[0-9A-F]{8}$/.test(logicalId));
  return cloud.queues.get(queue?.ref ?? '');
}
