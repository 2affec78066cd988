/**
 * Whatever becomes of Supabase before Spotify is asked, and between Spotify's answer and the write, while Spotify is as
 * strict as a server can be: it rotates refresh tokens, and revokes the grant when one is sent twice.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { SupabaseFault } from '../../stand-ins/supabase/faults.ts';
import { TestStack } from '../e2e/test-stack.ts';
import { isLongRun } from './run-length.ts';

type Cell = readonly [what: string, SupabaseFault];

const REFUSED: Cell = ['connections that are refused', { kind: 'refused' }];
const SILENCE: Cell = ['silence', { kind: 'hang' }];
const READ_ONLY: Cell = ['a read-only database', { kind: 'sql-error', code: '25006' }];

/** Faults that can strike some calls and spare others, and that a function notices at once. */
const SINGLE: readonly Cell[] = [
  READ_ONLY,
  ['a connection that drops', { kind: 'reset' }],
  ['an answer that is lost', { kind: 'reset-after' }],
  ['500 with HTML', { kind: 'status', status: 500 }],
  ['503 with HTML', { kind: 'status', status: 503 }],
  ['a statement timeout', { kind: 'sql-error', code: '57014' }],
  ['a deadlock', { kind: 'sql-error', code: '40P01' }],
];
const PROMPT: readonly Cell[] = [REFUSED, ...SINGLE];

/** Those that last take a function's whole time. `test/e2e/rescue.test.ts` has one such sweep, in every run. */
const FEW: readonly Cell[] = [REFUSED, SILENCE, READ_ONLY];
const LASTING = { status: isLongRun ? [...PROMPT, SILENCE] : FEW, sweep: isLongRun ? FEW : [] };

/** Short enough to be waited for, long enough for a sweep to begin. */
const SWEEPER_TIMEOUT_SECONDS = 40;

const SWEPT_USERS = 12;

let shared: TestStack;

beforeAll(async () => {
  shared = await startStrictStack();
});
afterAll(() => shared.stop());

beforeEach(async () => {
  await shared.stack.supabase.setFault(undefined);
  await shared.sql('delete from auth.users');
  shared.stack.spotify.forgetCalls();
});

describe('before Spotify is asked', () => {
  test.each(PROMPT)('%s: a status call is answered with 503, and Spotify is left alone', (_what, fault) =>
    expectStatusCallToFail(shared, fault),
  );

  test.each(PROMPT)('%s: a sweep fails, and Spotify is left alone', (_what, fault) =>
    expectSweepToFail(shared, fault),
  );
});

describe("between Spotify's answer and the write, for a moment", () => {
  test.each(SINGLE)('%s: a status call writes again', (_what, fault) =>
    expectStatusCallToWriteAgain(shared, { ...fault, times: 2 }),
  );

  test.each(SINGLE)('%s: a sweep writes again', (_what, fault) =>
    expectSweepToWriteAgain(shared, { ...fault, times: 2 }),
  );
});

/** Each has a stack of its own, so that they wait at the same time. */
describe('while time goes by', () => {
  const [silence, fault] = SILENCE;

  test.concurrent(`${silence} before Spotify is asked: a status call is answered with 503, and Spotify is left alone`, () =>
    onStackOfItsOwn((stack) => expectStatusCallToFail(stack, fault)));

  test.concurrent(`${silence} before Spotify is asked: a sweep fails, and Spotify is left alone`, () =>
    onStackOfItsOwn((stack) => expectSweepToFail(stack, fault)));

  // One answer that does not come takes long enough.
  test.concurrent(`${silence} for a moment between Spotify's answer and the write: a status call writes again`, () =>
    onStackOfItsOwn((stack) => expectStatusCallToWriteAgain(stack, { ...fault, times: 1 })));

  test.concurrent(`${silence} for a moment between Spotify's answer and the write: a sweep writes again`, () =>
    onStackOfItsOwn((stack) => expectSweepToWriteAgain(stack, { ...fault, times: 1 })));

  test.concurrent.each(LASTING.status)(
    "%s for good between Spotify's answer and the write: a status call rescues the new token",
    (_what, lasting) => onStackOfItsOwn((stack) => expectStatusCallsToRescue(stack, lasting)),
  );

  for (const [what, lasting] of LASTING.sweep) {
    test.concurrent(`${what} for good between Spotify's answer and the write: a sweep rescues the new tokens of its batch`, () =>
      onStackOfItsOwn((stack) => expectSweepToRescue(stack, lasting)));
  }
});

/** Its Spotify is as strict as a server can be: it rotates refresh tokens, and revokes the grant when one is sent twice. */
async function startStrictStack(): Promise<TestStack> {
  const stack = await TestStack.start({ sweeperTimeoutSeconds: SWEEPER_TIMEOUT_SECONDS });
  stack.stack.spotify.configure({ rotatesRefreshTokens: true, detectsReuse: true, latencyMillis: 100 });
  return stack;
}

/** The keys that sign user tokens come from Supabase too, and are read when an instance of the status function starts. */
async function startInstances(stack: TestStack, count: number): Promise<void> {
  const { id } = await stack.createConnectedUser(3_000);
  await Promise.all(Array.from({ length: count }, () => stack.status(id)));
}

async function onStackOfItsOwn(work: (stack: TestStack) => Promise<void>): Promise<void> {
  await using stack = await startStrictStack();
  await work(stack);
}

async function expectStatusCallToFail(stack: TestStack, fault: SupabaseFault): Promise<void> {
  await startInstances(stack, 1);
  const [user = ''] = await stack.createDueConnections(1, { expiresInSeconds: -60 });
  const before = await stack.profilesOf([user]);
  await stack.stack.supabase.setFault(only('spotify_check_connection', fault));

  const answer = await stack.status(user);

  await stack.stack.supabase.setFault(undefined);
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '10']);
  expect(stack.stack.spotify.calls).toEqual([]);
  expect(await stack.profilesOf([user])).toEqual(before);
  await stack.letHoursPass(1);
  expect((await stack.status(user)).body).toMatchObject({ connected: true, auto_refreshed: true });
  await expectNothingLost(stack, [user]);
}

async function expectSweepToFail(stack: TestStack, fault: SupabaseFault): Promise<void> {
  const users = await stack.createDueConnections(SWEPT_USERS);
  const before = await stack.profilesOf(users);
  await stack.stack.supabase.setFault(only('spotify_claim_due', fault));

  const { functionError, result } = await stack.sweep();

  await stack.stack.supabase.setFault(undefined);
  expect([functionError, result['errorType']]).toEqual(['Unhandled', 'StoreError']);
  expect(stack.stack.spotify.calls).toEqual([]);
  expect(await stack.profilesOf(users)).toEqual(before);
  await stack.letHoursPass(1);
  expect((await stack.sweep()).result).toMatchObject({ status: 'completed', refreshed: SWEPT_USERS });
  await expectNothingLost(stack, users);
}

async function expectStatusCallToWriteAgain(stack: TestStack, fault: SupabaseFault): Promise<void> {
  await startInstances(stack, 1);
  const [user = ''] = await stack.createDueConnections(1, { expiresInSeconds: -60 });

  const answer = await strikeMidway(stack, fault, () => stack.status(user));

  expect(answer.body).toMatchObject({ connected: true, auto_refreshed: true });
  expect(waitingInRescueQueue(stack)).toEqual([]);
  await expectNothingLost(stack, [user]);
}

async function expectSweepToWriteAgain(stack: TestStack, fault: SupabaseFault): Promise<void> {
  const users = await stack.createDueConnections(SWEPT_USERS);

  const { result } = await strikeMidway(stack, fault, () => stack.sweep());

  expect(result).toMatchObject({ status: 'completed', refreshed: SWEPT_USERS, failed: 0, remaining: 0 });
  expect(waitingInRescueQueue(stack)).toEqual([]);
  await expectNothingLost(stack, users);
}

async function expectStatusCallsToRescue(stack: TestStack, fault: SupabaseFault): Promise<void> {
  await startInstances(stack, 2);
  const [ended = ''] = await stack.createDueConnections(1, { expiresInSeconds: -60 });
  const [working = ''] = await stack.createDueConnections(1, { expiresInSeconds: 240 });
  // Long enough for both to be on their way.
  stack.stack.spotify.configure({ latencyMillis: 1_000 });

  const answers = await strikeMidway(
    stack,
    fault,
    () => Promise.all([stack.status(ended), stack.status(working)]),
    2,
  );

  expect(answers.map(({ body }) => body)).toMatchObject([
    { connected: false, reason: 'token_refresh_failed', retryable: true },
    { connected: true, degraded: true },
  ]);
  await expectRescue(stack, [ended, working]);
}

async function expectSweepToRescue(stack: TestStack, fault: SupabaseFault): Promise<void> {
  const users = await stack.createDueConnections(SWEPT_USERS);

  await strikeMidway(stack, fault, () => stack.sweep());

  await expectRescue(stack, users);
}

/** Strikes calls of one function, where the fault can. */
function only(functionName: string, fault: SupabaseFault): SupabaseFault {
  return fault.kind === 'refused' ? fault : { ...fault, of: functionName };
}

/** Lets a fault of the write begin when Spotify has been asked about so many users, and end with the call. */
async function strikeMidway<Result>(
  stack: TestStack,
  fault: SupabaseFault,
  call: () => Promise<Result>,
  users = 1,
): Promise<Result> {
  const { spotify, supabase } = stack.stack;
  const result = call();
  for (let asked = 0; asked < users; asked += 1) await spotify.nextTokenRequest();
  await supabase.setFault(only('spotify_record', fault));
  const settled = await result;
  await supabase.setFault(undefined);
  return settled;
}

/** The new tokens are in the queue; one sweep stores them, without asking Spotify. */
async function expectRescue(stack: TestStack, users: readonly string[]): Promise<void> {
  expect(waitingInRescueQueue(stack)).toEqual(users.toSorted());
  expect((await stack.sweep()).result).toMatchObject({ status: 'completed', total: 0, remaining: 0 });
  expect(waitingInRescueQueue(stack)).toEqual([]);
  await expectNothingLost(stack, users);
}

/** Users whose new tokens wait there. */
function waitingInRescueQueue(stack: TestStack): string[] {
  const bodies = stack.stack.cloud.queues.all.flatMap(({ messages }) => messages.map(({ body }) => body));
  return bodies.map((body) => JSON.parse(body).user_id).sort();
}

/** All users are fresh and none is told to reconnect, with one call to Spotify each. */
async function expectNothingLost(stack: TestStack, users: readonly string[]): Promise<void> {
  expect(await stack.withoutFreshToken(users)).toEqual([]);
  expect(await stack.usersToldToReconnect()).toEqual([]);
  expect(stack.stack.spotify.calls.map(({ userId }) => userId).sort()).toEqual(users.toSorted());
}
