import { describe, expect, test } from '@jest/globals';
import { computeBackoffSeconds } from '../../../lambda/connection/backoff.ts';
import { toOutcome } from '../../../lambda/connection/refresh-outcome.ts';
import { refreshedAnswer } from '../fakes/fake-token-endpoint.ts';

describe('what an answer means for the connection', () => {
  test.each([refreshedAnswer(), refreshedAnswer({ rotated: true })])(
    'a success is stored as it came',
    (answer) => {
      expect(toOutcome(answer, 0, 0.5)).toEqual(answer);
    },
  );

  test('a new refresh token is stored, and the connection backs off', () => {
    const answer = {
      kind: 'refresh_token_only',
      refreshToken: 'new',
      reason: 'unusable expires_in',
    } as const;
    expect(toOutcome(answer, 2, 0.25)).toEqual({
      kind: 'refresh_token_only',
      refreshToken: 'new',
      retryAfterSeconds: computeBackoffSeconds(2, 0.25),
    });
  });

  test('a revoked grant is dead, or, should the breaker not believe it, backs off', () => {
    expect(toOutcome({ kind: 'revoked', reason: 'expired' }, 3, 0.5)).toEqual({
      kind: 'revoked',
      reason: 'expired',
      retryAfterSeconds: computeBackoffSeconds(3, 0.5),
    });
  });

  test('a throttled connection rests for as long as Spotify asked', () => {
    const answer = { kind: 'throttled', retryAfterSeconds: 3_600 } as const;
    expect(toOutcome(answer, 9, 0.5)).toEqual({ kind: 'throttled', retryAfterSeconds: 3_600 });
  });

  test.each(['unavailable', 'rejected'] as const)('a connection whose answer was %s backs off', (kind) => {
    const outcome = toOutcome({ kind, reason: 'status 418' }, 2, 0.25);
    expect(outcome).toEqual({ kind, retryAfterSeconds: computeBackoffSeconds(2, 0.25) });
  });

  test('a rejected client says nothing about the connection', () => {
    const answer = { kind: 'client_rejected', reason: 'invalid_client' } as const;
    expect(toOutcome(answer, 2, 0.5)).toEqual({ kind: 'client_rejected' });
  });

  test('a lease that was not used is released', () => {
    expect(toOutcome(null, 2, 0.5)).toEqual({ kind: 'released' });
  });
});
