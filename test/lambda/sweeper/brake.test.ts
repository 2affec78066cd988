import { beforeEach, describe, expect, test } from '@jest/globals';
import type { TokenAnswer } from '../../../lambda/connection/token-endpoint.ts';
import { Brake } from '../../../lambda/sweeper/brake.ts';
import { refreshedAnswer } from '../fakes/fake-token-endpoint.ts';
import { SweepHarness } from '../fakes/sweep-harness.ts';

const FIRST_ATTEMPT = { failures: 0 };
const FAILED_BEFORE = { failures: 1 };
const refreshed: TokenAnswer = { kind: 'refreshed', accessToken: 'new', expiresInSeconds: 3_600 };
const rejected: TokenAnswer = { kind: 'rejected', reason: 'invalid_request' };
const clientRejected: TokenAnswer = { kind: 'client_rejected', reason: 'invalid_client' };
const throttled: TokenAnswer = { kind: 'throttled', retryAfterSeconds: 30 };

let brake: Brake;

beforeEach(() => {
  brake = new Brake();
});

test.each<TokenAnswer>([
  refreshed,
  rejected,
  { kind: 'refresh_token_only', refreshToken: 'new', reason: 'not JSON' },
  { kind: 'revoked', reason: 'revoked' },
  { kind: 'unavailable', reason: 'status 503' },
])('one answer of $kind stops nothing', (answer) => {
  brake.report(answer, FIRST_ATTEMPT);
  expect(brake.reason).toBeNull();
});

describe('three rejections in a row', () => {
  test('stop, for it is us whom Spotify rejects', () => {
    for (let count = 0; count < 3; count += 1) brake.report(rejected, FIRST_ATTEMPT);
    expect(brake.reason).toBe('client_rejected');
  });

  test('do not stop with a success between them', () => {
    for (const answer of [rejected, rejected, refreshed, rejected, rejected]) {
      brake.report(answer, FIRST_ATTEMPT);
    }
    expect(brake.reason).toBeNull();
  });

  test('stop whatever else is between them', () => {
    const unavailable: TokenAnswer = { kind: 'unavailable', reason: 'status 503' };
    for (const answer of [rejected, unavailable, rejected, unavailable, rejected]) {
      brake.report(answer, FIRST_ATTEMPT);
    }
    expect(brake.reason).toBe('client_rejected');
  });

  test('do not stop where a connection failed before', () => {
    for (let count = 0; count < 5; count += 1) brake.report(rejected, FAILED_BEFORE);
    expect(brake.reason).toBeNull();
  });
});

describe('a sweep takes its client for rejected', () => {
  let harness: SweepHarness;

  beforeEach(() => {
    harness = new SweepHarness();
  });

  test('after three rejections of different connections and no success between', async () => {
    harness.store.connectMany(500);
    harness.answer = () => rejected;
    expect(await harness.refreshDue()).toMatchObject({
      status: 'client_rejected',
      counts: { refreshed: 0, revoked: 0 },
    });
    // One, then 16 at once, and two more for the first of these: one in its place, one faster.
    expect(harness.spotify.calls.length).toBeLessThanOrEqual(19);
    expect(harness.store.leasesNotSettledOnce()).toEqual([]);
  });

  test('not where only two connections are rejected, however often', async () => {
    harness.store.connectMany(100);
    const odd = new Set(['refresh-token-of-user-3', 'refresh-token-of-user-4']);
    harness.answer = (token) => (odd.has(token) ? rejected : refreshedAnswer());
    expect(await harness.refreshDue()).toMatchObject({
      status: 'out_of_time',
      counts: { refreshed: 98, revoked: 0 },
    });
    expect(harness.countDue()).toBe(2);
  });

  test('not where successes lie between the rejections', async () => {
    harness.store.connectMany(90);
    harness.latencyMilliseconds = () => 10;
    harness.answer = (token) => (Number(token.split('-').at(-1)) % 3 === 0 ? rejected : refreshedAnswer());
    expect(await harness.refreshDue({ milliseconds: 60_000 })).toMatchObject({
      status: 'out_of_time',
      counts: { refreshed: 60 },
    });
    expect(harness.countDue()).toBe(30);
  });
});

describe('of several reasons the gravest counts, whichever comes first', () => {
  const failure = new Error('the database is gone');
  const reports = {
    throttled: () => brake.report(throttled, FIRST_ATTEMPT),
    client_rejected: () => brake.report(clientRejected, FIRST_ATTEMPT),
    failed: () => brake.fail(failure),
  };

  test.each([
    ['throttled', 'client_rejected', 'client_rejected'],
    ['client_rejected', 'throttled', 'client_rejected'],
    ['throttled', 'failed', 'failed'],
    ['failed', 'throttled', 'failed'],
    ['client_rejected', 'failed', 'failed'],
    ['failed', 'client_rejected', 'failed'],
  ] as const)('%s, then %s: %s', (first, second, reason) => {
    reports[first]();
    reports[second]();
    expect(brake.reason).toBe(reason);
    expect(brake.failure).toBe(reason === 'failed' ? failure : undefined);
  });

  test('and of several failures the first', () => {
    brake.fail(failure);
    brake.fail(new Error('another'));
    expect(brake.failure).toBe(failure);
  });
});
