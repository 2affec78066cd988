/**
 * Whatever Spotify answers to a refresh: what each function makes of it, what is stored, what the token endpoint saw,
 * and that everybody whose grant lives is connected once the fault is over.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Fault } from '../../stand-ins/spotify/faults.ts';
import { type Answer, type Profile, TestStack } from '../e2e/test-stack.ts';
import { isLongRun } from './run-length.ts';

/** What is made of an answer; `lost`: unavailable, and the new refresh token, the only living one, was in it. */
type Outcome =
  | 'refreshed'
  | 'refresh_token_only'
  | 'unavailable'
  | 'lost'
  | 'throttled'
  | 'rejected'
  | 'client_rejected';

type Cell = {
  readonly when: string;
  readonly fault: Fault;
  readonly outcome: Outcome;
  /** The time without calls to Spotify: at least and at most. */
  readonly waitSeconds: readonly [number, number] | null;
  readonly rotatesRefreshTokens: boolean;
};

/** Enough for a batch, and too little to wait for a connection that backs off. */
const SWEEPER_TIMEOUT_SECONDS = 40;

const WAVE_USERS = isLongRun ? 2_000 : 200;

const IN_AN_HOUR = new Date(Date.now() + 3_600_000).toUTCString();
const A_YEAR_AGO = new Date(Date.now() - 365 * 86_400_000).toUTCString();

/** Not one exchange takes place. */
const NOT_EXCHANGED: [when: string, Fault, Outcome, waitSeconds?: [number, number]][] = [
  ['500 with HTML', page(500), 'unavailable'],
  ['502 with HTML', page(502), 'unavailable'],
  ['503 with HTML', page(503), 'unavailable'],
  ['408', page(408), 'unavailable'],
  ['temporarily_unavailable', refusal('temporarily_unavailable'), 'unavailable'],
  ['a redirect', page(302, { location: '/api/token' }), 'unavailable'],
  ['silence before the headers', { kind: 'hang' }, 'unavailable'],
  ['a reset before the exchange', { kind: 'reset-before' }, 'unavailable'],
  ['429, Retry-After in seconds', page(429, { retryAfter: '90' }), 'throttled', [60, 90]],
  ['429, Retry-After as a date', page(429, { retryAfter: IN_AN_HOUR }), 'throttled', [60, 3_600]],
  ['429, Retry-After in the past', page(429, { retryAfter: A_YEAR_AGO }), 'throttled', [0, 1]],
  ['429, no Retry-After', page(429), 'throttled', [10, 30]],
  ['429, negative Retry-After', page(429, { retryAfter: '-5' }), 'throttled', [0, 1]],
  ['429, Retry-After of 31 years', page(429, { retryAfter: '999999999' }), 'throttled', [86_000, 86_400]],
  ['429, Retry-After that is no time', page(429, { retryAfter: 'soon' }), 'throttled', [10, 30]],
  ['invalid_client', refusal('invalid_client'), 'client_rejected', [30, 60]],
  ['invalid_client with 401', refusal('invalid_client', 401), 'client_rejected', [30, 60]],
  ['unauthorized_client', refusal('unauthorized_client'), 'client_rejected', [30, 60]],
  ['an unknown error code', refusal('server_on_holiday'), 'rejected'],
  ['invalid_grant with another status', refusal('invalid_grant', 403), 'rejected'],
];

/** The exchange takes place. With rotation the token that was used is dead afterwards. */
const EXCHANGED: [when: string, Fault, withoutRotation: Outcome, withRotation: Outcome][] = [
  ['a reset after the exchange', { kind: 'reset-after' }, 'unavailable', 'lost'],
  ['silence in the body', { kind: 'hang-in-body' }, 'unavailable', 'lost'],
  ['JSON that is cut off', { kind: 'truncated' }, 'unavailable', 'lost'],
  ['another content type', { kind: 'content-type', contentType: 'text/html' }, 'refreshed', 'refreshed'],
  ['no access token', answerWith({ access_token: null }), 'unavailable', 'refresh_token_only'],
  ['no expires_in', answerWith({ expires_in: null }), 'refreshed', 'refreshed'],
  [
    'fields that are not needed',
    answerWith({ token_type: null, scope: ['odd'], id_token: 7 }),
    'refreshed',
    'refreshed',
  ],
  ['expires_in of zero', answerWith({ expires_in: 0 }), 'unavailable', 'refresh_token_only'],
  ['negative expires_in', answerWith({ expires_in: -3_600 }), 'unavailable', 'refresh_token_only'],
  ['huge expires_in', answerWith({ expires_in: 1e12 }), 'unavailable', 'refresh_token_only'],
  ['expires_in that is a text', answerWith({ expires_in: 'an hour' }), 'unavailable', 'refresh_token_only'],
  ['a body of 1 MB', { kind: 'oversized' }, 'unavailable', 'refresh_token_only'],
];

const CELLS: Cell[] = [
  ...NOT_EXCHANGED.map(([when, fault, outcome, waitSeconds = null]) => ({
    when,
    fault,
    outcome,
    waitSeconds,
    rotatesRefreshTokens: true,
  })),
  ...EXCHANGED.flatMap(([when, fault, withoutRotation, withRotation]) => [
    {
      when: `${when}, rotation off`,
      fault,
      outcome: withoutRotation,
      waitSeconds: null,
      rotatesRefreshTokens: false,
    },
    {
      when: `${when}, rotation on`,
      fault,
      outcome: withRotation,
      waitSeconds: null,
      rotatesRefreshTokens: true,
    },
  ]),
];

/** A call that runs into its timeout. */
function isSilent({ fault }: Cell): boolean {
  return fault.kind === 'hang' || fault.kind === 'hang-in-body';
}

function page(status: number, headers: { retryAfter?: string; location?: string } = {}): Fault {
  return { kind: 'status', status, ...headers };
}

function refusal(error: string, status = 400): Fault {
  return { kind: 'error', error, status };
}

function answerWith(fields: Record<string, unknown>): Fault {
  return { kind: 'fields', fields };
}

/** Calls to Spotify that one status call makes. */
function attemptsOf(cell: Cell): number {
  const { fault, outcome } = cell;
  if (outcome !== 'unavailable' && outcome !== 'lost') return 1;
  // After one that hung, another one does not fit into the budget.
  if (isSilent(cell)) return 1;
  // The second time the old token is refused, which is no reason for a third.
  return outcome === 'lost' && fault.kind === 'truncated' ? 2 : 3;
}

const SILENT = CELLS.filter(isSilent);
const PROMPT = CELLS.filter((cell) => !isSilent(cell));

let shared: TestStack;

beforeAll(async () => {
  shared = await startStack();
});
afterAll(() => shared.stop());

beforeEach(async () => {
  shared.stack.spotify.setFault(undefined);
  shared.stack.spotify.configure({ rotatesRefreshTokens: true, detectsReuse: true, clockOffsetSeconds: 0 });
  shared.stack.spotify.forgetCalls();
  await shared.sql('delete from auth.users');
  await shared.letHoursPass(25);
});

describe('the status function, asked about a token that has run out and one that still works', () => {
  test.each(PROMPT)('$when: $outcome', (cell) => expectOfStatusCalls(shared, cell));
});

describe('a sweep over a token that has run out and one that still works', () => {
  test.each(PROMPT)('$when: $outcome', (cell) => expectOfSweep(shared, cell));

  test('stops after three refusals of different connections, and changes none', async () => {
    const users = await shared.createDueConnections(WAVE_USERS);
    const before = await shared.profilesOf(users);
    shared.stack.spotify.setFault({ kind: 'error', error: 'server_on_holiday' });

    const { functionError, result } = await shared.sweep();

    expect([functionError, result['errorType']]).toEqual(['Unhandled', 'SweepFailedError']);
    // Those that were under way when the third answer came; never all of them.
    expect(shared.stack.spotify.calls.length).toBeLessThan(WAVE_USERS / 2);
    expect(await shared.profilesOf(users)).toEqual(before);
    await liftFault(shared);
    expect((await shared.sweep()).result).toMatchObject({ status: 'completed', refreshed: WAVE_USERS });
  });
});

/** Each has a stack of its own, so that they wait at the same time. */
describe('both, while time goes by', () => {
  test.concurrent.each(SILENT)('the status function: $when: $outcome', (cell) =>
    onStackOfItsOwn((stack) => expectOfStatusCalls(stack, cell)),
  );

  test.concurrent.each(SILENT)('a sweep: $when: $outcome', (cell) =>
    onStackOfItsOwn((stack) => expectOfSweep(stack, cell)),
  );
});

describe('a wave of invalid_grant for grants that live', () => {
  test.each([5, 30, 100])(
    'for %s %% of the users of a sweep: no user is told to reconnect',
    async (percent) => {
      const users = await createRefreshedConnections(sameUsersEveryTime());
      shared.stack.spotify.setFault(falseRevocations(percent));

      const { functionError, result } = await shared.sweep();

      const refused = refusedUsers();
      expect(functionError).toBeUndefined();
      expect(result).toMatchObject({ refreshed: WAVE_USERS - refused.length });
      expect(shared.stack.spotify.calls).toHaveLength(WAVE_USERS);
      expect(await shared.usersToldToReconnect()).toEqual([]);
      expect(await refusalsAreBelieved()).toBe(false);
      expect((await shared.status(refused[0] ?? '')).body).toMatchObject({ connected: true });

      await liftFault(shared);
      expect((await shared.sweep()).result).toMatchObject({ refreshed: WAVE_USERS, revoked: 0, failed: 0 });
      expect(await shared.withoutFreshToken(users)).toEqual([]);
      expect(await refusalsAreBelieved()).toBe(true);
    },
  );

  test.each([30, 100])('for %s %% of the users who look, in several processes: the same', async (percent) => {
    const users = await createRefreshedConnections(sameUsersEveryTime().slice(0, 24));
    shared.stack.spotify.setFault(falseRevocations(percent));

    const answers = await askForAll(users);

    expect(refusedUsers().length).toBeGreaterThanOrEqual(5);
    for (const { body } of answers) expect(body).toMatchObject({ connected: true });
    expect(await shared.usersToldToReconnect()).toEqual([]);
    expect(await refusalsAreBelieved()).toBe(false);

    await liftFault(shared);
    for (const { body } of await askForAll(users)) {
      expect(body).toMatchObject({ connected: true, auto_refreshed: true });
    }
    expect(await shared.withoutFreshToken(users)).toEqual([]);
  });
});

describe('a wave of grants that end after six months', () => {
  const SEVEN_MONTHS_AGO = new Date(Date.now() - 213 * 86_400_000).toISOString();

  test('is believed by a sweep: those users are told to reconnect, and no others', async () => {
    const users = sameUsersEveryTime();
    // The living are due first: a batch of nothing but refusals, before any refresh, would be held for a minute.
    const living = await shared.createDueConnections(users.slice(0, WAVE_USERS / 2));
    const ended = await shared.createDueConnections(users.slice(WAVE_USERS / 2), {
      authorizedAt: SEVEN_MONTHS_AGO,
    });

    const { result } = await shared.sweep();

    expect(result).toMatchObject({
      status: 'completed',
      refreshed: living.length,
      revoked: ended.length,
      failed: 0,
    });
    expect(await shared.usersToldToReconnect()).toEqual(ended.toSorted());
    expect(await refusalsAreBelieved()).toBe(true);
    expect(await shared.withoutFreshToken(living)).toEqual([]);

    // Recognized once; a day later asked about again, because Spotify may have been wrong, and not counted again.
    await liftFault(shared);
    expect((await shared.sweep()).result).toMatchObject({ refreshed: living.length, revoked: 0 });
    expect(ended.map((id) => shared.spotifyCallsFor(id).length)).toEqual(ended.map(() => 1));
    expect(await shared.usersToldToReconnect()).toEqual(ended.toSorted());
  });

  test('is believed by status calls', async () => {
    const users = sameUsersEveryTime().slice(0, 8);
    const ended = await shared.createDueConnections(users.slice(4), {
      authorizedAt: SEVEN_MONTHS_AGO,
      expiresInSeconds: -60,
    });
    const living = await shared.createDueConnections(users.slice(0, 4), { expiresInSeconds: -60 });

    for (const { body } of await askForAll(ended))
      expect(body).toMatchObject({ connected: false, retryable: false });
    for (const { body } of await askForAll(living)) expect(body).toMatchObject({ connected: true });

    expect(await shared.usersToldToReconnect()).toEqual(ended.toSorted());
    expect(await refusalsAreBelieved()).toBe(true);
  });
});

const SWEEP_RESULTS: Record<Outcome, object> = {
  refreshed: { status: 'completed', refreshed: 2, failed: 0, total: 2 },
  refresh_token_only: { refreshed: 0, failed: 2, revoked: 0, total: 2, remaining: 2 },
  unavailable: { refreshed: 0, failed: 2, revoked: 0, total: 2, remaining: 2 },
  lost: { refreshed: 0, failed: 2, revoked: 0, total: 2, remaining: 2 },
  rejected: { refreshed: 0, failed: 2, revoked: 0, total: 2, remaining: 2 },
  throttled: { status: 'throttled', refreshed: 0, failed: 0, revoked: 0, remaining: 2 },
  client_rejected: { errorType: 'SweepFailedError' },
};

function startStack(): Promise<TestStack> {
  return TestStack.start({ sweeperTimeoutSeconds: SWEEPER_TIMEOUT_SECONDS });
}

async function onStackOfItsOwn(work: (stack: TestStack) => Promise<void>): Promise<void> {
  await using stack = await startStack();
  stack.stack.spotify.configure({ detectsReuse: true });
  await work(stack);
}

async function expectOfStatusCalls(stack: TestStack, cell: Cell): Promise<void> {
  const { spotify } = stack.stack;
  const [ended = ''] = await stack.createDueConnections(1, { expiresInSeconds: -60 });
  const [working = ''] = await stack.createDueConnections(1, { expiresInSeconds: 240 });
  const before = await stack.profilesOf([ended, working]);
  spotify.configure({ rotatesRefreshTokens: cell.rotatesRefreshTokens });
  spotify.setFault(cell.fault);

  // One after the other where the first one's answer is to hold the second one back.
  const [first, second] =
    cell.waitSeconds === null
      ? await Promise.all([stack.status(ended), stack.status(working)])
      : [await stack.status(ended), await stack.status(working)];

  expectAnswers(cell, first, second);
  const calls = [ended, working].map((id) => stack.spotifyCallsFor(id).length);
  if (cell.waitSeconds === null) expect(calls).toEqual([attemptsOf(cell), attemptsOf(cell)]);
  else if (cell.waitSeconds[0] > 0) expect(calls).toEqual([attemptsOf(cell), 0]);
  await expectStored(stack, cell, before);

  await liftFault(stack);
  const answers = await Promise.all([stack.status(ended), stack.status(working)]);
  for (const { body } of answers) {
    expect(body).toMatchObject(
      cell.outcome === 'lost'
        ? { connected: false, retryable: false }
        : { connected: true, auto_refreshed: true },
    );
  }
  await expectRecovery(stack, cell, [ended, working]);
}

async function expectOfSweep(stack: TestStack, cell: Cell): Promise<void> {
  const { spotify } = stack.stack;
  const users = [
    ...(await stack.createDueConnections(1, { expiresInSeconds: -60 })),
    ...(await stack.createDueConnections(1)),
  ];
  const before = await stack.profilesOf(users);
  spotify.configure({ rotatesRefreshTokens: cell.rotatesRefreshTokens });
  spotify.setFault(cell.fault);

  const { functionError, result } = await stack.sweep();

  expect(functionError).toBe(cell.outcome === 'client_rejected' ? 'Unhandled' : undefined);
  expect(result).toMatchObject(SWEEP_RESULTS[cell.outcome]);
  const calls = users.map((id) => stack.spotifyCallsFor(id).length);
  if (cell.waitSeconds === null) expect(calls).toEqual([1, 1]);
  else if (cell.waitSeconds[0] > 0) expect(Math.max(...calls)).toBe(1);
  await expectStored(stack, cell, before);

  await liftFault(stack);
  expect(await stack.sweep()).toMatchObject({
    functionError: undefined,
    result: {
      status: 'completed',
      ...(cell.outcome === 'lost' ? { refreshed: 0, revoked: 2 } : { refreshed: 2, revoked: 0 }),
      failed: 0,
      remaining: 0,
    },
  });
  await expectRecovery(stack, cell, users);
}

/** No user is told to reconnect without need, and every user who has to is told. */
function expectAnswers({ outcome, waitSeconds }: Cell, ended: Answer, working: Answer): void {
  if (outcome === 'refreshed') {
    for (const { body } of [ended, working])
      expect(body).toMatchObject({ connected: true, auto_refreshed: true });
    return;
  }
  expect(ended.body).toMatchObject({ connected: false, reason: 'token_refresh_failed', retryable: true });
  expect(ended.body.retry_after).toBeGreaterThanOrEqual(waitSeconds?.[0] ?? 1);
  expect(ended.body.retry_after).toBeLessThanOrEqual(waitSeconds?.[1] ?? 30);
  expect(working.body).toMatchObject({ connected: true, auto_refreshed: false, degraded: true });
}

/** What the fault left in the database, compared with what was there before it. */
async function expectStored(
  stack: TestStack,
  { outcome, waitSeconds }: Cell,
  before: ReadonlyMap<string, Profile>,
): Promise<void> {
  const { spotify } = stack.stack;
  for (const [id, profile] of await stack.profilesOf([...before.keys()])) {
    const { spotify_refresh_token: refreshToken, ...others } = profile;
    const { spotify_refresh_token: usedRefreshToken, ...othersBefore } = before.get(id) as Profile;
    if (outcome === 'refreshed') {
      expect(spotify.acceptsAccessToken(profile.spotify_access_token ?? '')).toBe(true);
    } else {
      expect(others).toEqual({ ...othersBefore, updated_at: others['updated_at'] });
    }
    if (outcome !== 'refreshed' && outcome !== 'refresh_token_only')
      expect(refreshToken).toBe(usedRefreshToken);
    expect(spotify.inspectRefreshToken(refreshToken ?? '')?.isAlive).toBe(outcome !== 'lost');

    const [connection] = await stack.sql('select * from spotify_auth.connections where user_id = $1', [id]);
    expect(connection).toMatchObject({ lease_id: null, reauthorization_required_since: null });
    expect(connection).toMatchObject({
      failures: ['refresh_token_only', 'unavailable', 'lost', 'rejected'].includes(outcome) ? 1 : 0,
    });
  }
  const [stats] = await stack.sql<{ wait: number | null }>(
    `select extract(epoch from not_before - now())::float as wait from spotify_auth.shared_state where not_before > now()`,
  );
  if (waitSeconds === null) expect(stats).toBeUndefined();
  else if (waitSeconds[0] > 0) {
    expect(stats?.wait).toBeGreaterThanOrEqual(waitSeconds[0]);
    expect(stats?.wait).toBeLessThanOrEqual(waitSeconds[1]);
  }
}

/** After one attempt without the fault: every living grant is fresh, and was asked about once. */
async function expectRecovery(stack: TestStack, { outcome }: Cell, users: readonly string[]): Promise<void> {
  expect(users.map((id) => stack.spotifyCallsFor(id).length)).toEqual(users.map(() => 1));
  expect(await stack.usersToldToReconnect()).toEqual(outcome === 'lost' ? users.toSorted() : []);
  if (outcome !== 'lost') expect(await stack.withoutFreshToken(users)).toEqual([]);
}

/** The fault is over, and a day later no connection waits any more; calls are counted from here. */
async function liftFault(stack: TestStack): Promise<void> {
  stack.stack.spotify.setFault(undefined);
  stack.stack.spotify.forgetCalls();
  // Less than the day after which nothing but invalid_grant is believed, more than the longest wait.
  await stack.letHoursPass(12);
  await stack.letHoursPass(12);
}

/** Connections whose grants this system has seen alive, and whose tokens have three minutes left. */
async function createRefreshedConnections(users: readonly string[]): Promise<string[]> {
  const created = await shared.createDueConnections(users);
  expect((await shared.sweep()).result).toMatchObject({ refreshed: users.length });
  await shared.letHoursPass(0.95);
  shared.stack.spotify.forgetCalls();
  return created;
}

/** Whether a user whom Spotify calls revoked is told to reconnect. */
async function refusalsAreBelieved(): Promise<boolean> {
  const [row] = await shared.sql<{
    stats: { breaker_open_seconds: number | null; nearly_all_revoked: boolean };
  }>('select public.spotify_connection_stats() as stats');
  return row?.stats.breaker_open_seconds === null && !row.stats.nearly_all_revoked;
}

/** Four at a time, so that each of four processes asks for its share of the users. */
async function askForAll(users: readonly string[]): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (let start = 0; start < users.length; start += 4) {
    answers.push(...(await Promise.all(users.slice(start, start + 4).map((id) => shared.status(id)))));
  }
  return answers;
}

function falseRevocations(percent: number): Fault {
  return { kind: 'error', error: 'invalid_grant', shareOfUsers: percent / 100 };
}

function refusedUsers(): string[] {
  const refused = shared.stack.spotify.calls.filter(({ outcome }) => outcome === 'invalid_grant');
  return [...new Set(refused.map(({ userId }) => userId ?? ''))];
}

/** Whom a share of the users strikes follows from their ids. */
function sameUsersEveryTime(): string[] {
  return Array.from(
    { length: WAVE_USERS },
    (_, index) => `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`,
  );
}
