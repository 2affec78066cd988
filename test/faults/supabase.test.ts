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

/** Faults that can strike some calls and spare others. */
const SINGLE: readonly Cell[] = [
  SILENCE,
  READ_ONLY,
  ['a connection that drops', { kind: 'reset' }],
  ['an answer that is lost', { kind: 'reset-after' }],
  ['500 with HTML', { kind: 'status', status: 500 }],
  ['503 with HTML', { kind: 'status', status: 503 }],
  ['a statement timeout', { kind: 'sql-error', code: '57014' }],
  ['a deadlock', { kind: 'sql-error', code: '40P01' }],
];
const ALL: readonly Cell[] = [REFUSED, ...SINGLE];

/** Those that last take a function's whole time. `test/e2e/rescue.test.ts` has one such sweep, in every run. */
const FEW: readonly Cell[] = [REFUSED, SILENCE, READ_ONLY];
const LASTING = { status: isLongRun ? ALL : FEW, sweep: isLongRun ? FEW : [] };

/** Short enough to be waited for, long enough for a sweep to begin. */
const SWEEPER_TIMEOUT_SECONDS = 40;

const SWEPT_USERS = 12;

let stack: TestStack;

beforeAll(async () => {
  stack = await TestStack.start({ sweeperTimeoutSeconds: SWEEPER_TIMEOUT_SECONDS });
  stack.stack.spotify.configure({ rotatesRefreshTokens: true, detectsReuse: true });
  // The keys that sign user tokens come from Supabase too, and are read when an instance starts.
  const { id } = await stack.createConnectedUser(3_000);
  await Promise.all([stack.status(id), stack.status(id)]);
});
afterAll(() => stack.stop());

beforeEach(async () => {
  await stack.stack.supabase.setFault(undefined);
  await stack.sql('delete from auth.users');
  stack.stack.spotify.configure({ latencyMillis: 100 });
  stack.stack.spotify.forgetCalls();
});

describe('before Spotify is asked', () => {
  test.each(ALL)(
    '%s: a status call is answered with 503, and Spotify is left alone',
    async (_what, fault) => {
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
      await expectNothingLost([user]);
    },
  );

  test.each(ALL)('%s: a sweep fails, and Spotify is left alone', async (_what, fault) => {
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
    await expectNothingLost(users);
  });
});

describe("between Spotify's answer and the write, for a moment", () => {
  test.each(SINGLE)('%s: a status call writes again', async (_what, fault) => {
    const [user = ''] = await stack.createDueConnections(1, { expiresInSeconds: -60 });

    const answer = await strikeMidway(momentary(fault), () => stack.status(user));

    expect(answer.body).toMatchObject({ connected: true, auto_refreshed: true });
    expect(waitingInRescueQueue()).toEqual([]);
    await expectNothingLost([user]);
  });

  test.each(SINGLE)('%s: a sweep writes again', async (_what, fault) => {
    const users = await stack.createDueConnections(SWEPT_USERS);

    const { result } = await strikeMidway(momentary(fault), () => stack.sweep());

    expect(result).toMatchObject({ status: 'completed', refreshed: SWEPT_USERS, failed: 0, remaining: 0 });
    expect(waitingInRescueQueue()).toEqual([]);
    await expectNothingLost(users);
  });
});

describe("between Spotify's answer and the write, for good", () => {
  test.each(LASTING.status)('%s: a status call rescues the new token', async (_what, fault) => {
    const [ended = ''] = await stack.createDueConnections(1, { expiresInSeconds: -60 });
    const [working = ''] = await stack.createDueConnections(1, { expiresInSeconds: 240 });
    // Long enough for both to be on their way.
    stack.stack.spotify.configure({ latencyMillis: 1_000 });

    const answers = await strikeMidway(
      only('spotify_record', fault),
      () => Promise.all([stack.status(ended), stack.status(working)]),
      2,
    );

    expect(answers.map(({ body }) => body)).toMatchObject([
      { connected: false, reason: 'token_refresh_failed', retryable: true },
      { connected: true, degraded: true },
    ]);
    await expectRescue([ended, working]);
  });

  for (const [what, fault] of LASTING.sweep) {
    test(`${what}: a sweep rescues the new tokens of its batch`, async () => {
      const users = await stack.createDueConnections(SWEPT_USERS);

      await strikeMidway(only('spotify_record', fault), () => stack.sweep());

      await expectRescue(users);
    });
  }
});

/** Strikes calls of one function, where the fault can. */
function only(functionName: string, fault: SupabaseFault): SupabaseFault {
  return fault.kind === 'refused' ? fault : { ...fault, of: functionName };
}

/** One answer that does not come takes long enough; what fails at once fails twice. */
function momentary(fault: SupabaseFault): SupabaseFault {
  return { ...only('spotify_record', fault), times: fault.kind === 'hang' ? 1 : 2 };
}

/** Lets a fault begin when Spotify has been asked about so many users, and end with the call. */
async function strikeMidway<Result>(
  fault: SupabaseFault,
  call: () => Promise<Result>,
  users = 1,
): Promise<Result> {
  const { spotify, supabase } = stack.stack;
  const result = call();
  for (let asked = 0; asked < users; asked += 1) await spotify.nextTokenRequest();
  await supabase.setFault(fault);
  const settled = await result;
  await supabase.setFault(undefined);
  return settled;
}

/** The new tokens are in the queue; one sweep stores them, without asking Spotify. */
async function expectRescue(users: readonly string[]): Promise<void> {
  expect(waitingInRescueQueue()).toEqual(users.toSorted());
  expect((await stack.sweep()).result).toMatchObject({ status: 'completed', total: 0, remaining: 0 });
  expect(waitingInRescueQueue()).toEqual([]);
  await expectNothingLost(users);
}

/** Users whose new tokens wait there. */
function waitingInRescueQueue(): string[] {
  const bodies = stack.stack.cloud.queues.all.flatMap(({ messages }) => messages.map(({ body }) => body));
  return bodies.map((body) => JSON.parse(body).user_id).sort();
}

/** All users are fresh and none is told to reconnect, with one call to Spotify each. */
async function expectNothingLost(users: readonly string[]): Promise<void> {
  expect(await stack.withoutFreshToken(users)).toEqual([]);
  expect(await stack.usersToldToReconnect()).toEqual([]);
  expect(stack.stack.spotify.calls.map(({ userId }) => userId).sort()).toEqual(users.toSorted());
}
