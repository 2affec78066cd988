import { beforeEach, describe, expect, test } from '@jest/globals';
import type { TokenAnswer } from '../../../lambda/connection/token-endpoint.ts';
import { Brake } from '../../../lambda/sweeper/brake.ts';

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

  test('do not stop where a connection failed before', () => {
    for (let count = 0; count < 5; count += 1) brake.report(rejected, FAILED_BEFORE);
    expect(brake.reason).toBeNull();
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
