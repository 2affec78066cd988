import { describe, expect, test } from '@jest/globals';
import { toAnswer } from '../../../lambda/status/answer.ts';

const details = {
  spotifyUserId: 'spotify-id',
  spotifyUserEmail: 'user@example.com',
  connectedAt: '2026-06-01T08:00:00.000Z',
  expiresAt: '2026-11-24T13:00:00.000Z',
  reauthorizeBy: '2026-12-01T08:00:00.000Z',
  secondsLeft: 3_600,
};

describe('the answer', () => {
  test('to a connected user has every field, and none about being degraded', () => {
    expect(toAnswer({ kind: 'connected', details, autoRefreshed: true, degraded: false })).toEqual({
      connected: true,
      spotify_user_id: 'spotify-id',
      spotify_user_email: 'user@example.com',
      connected_at: '2026-06-01T08:00:00.000Z',
      expires_at: '2026-11-24T13:00:00.000Z',
      auto_refreshed: true,
      reauthorize_by: '2026-12-01T08:00:00.000Z',
    });
  });

  test('says when the token could not be refreshed but still works', () => {
    const answer = toAnswer({ kind: 'connected', details, autoRefreshed: false, degraded: true });
    expect(answer).toMatchObject({ connected: true, auto_refreshed: false, degraded: true });
  });

  test('says null for what is not known', () => {
    const unknown = { ...details, spotifyUserEmail: null, connectedAt: null, reauthorizeBy: null };
    const answer = toAnswer({ kind: 'connected', details: unknown, autoRefreshed: false, degraded: false });
    expect(answer).toMatchObject({ spotify_user_email: null, connected_at: null, reauthorize_by: null });
  });

  test('to a user who never connected is that and nothing else', () => {
    expect(toAnswer({ kind: 'not_connected' })).toEqual({ connected: false });
  });

  test('about a dead grant asks to reconnect', () => {
    expect(toAnswer({ kind: 'reauthorization_required' })).toEqual({
      connected: false,
      reason: 'token_refresh_failed',
      message: expect.stringContaining('connect Spotify again'),
      retryable: false,
    });
  });

  test('about a failure for now says when to come back, and not to reconnect', () => {
    expect(
      toAnswer({ kind: 'refresh_failed', details: null, retryAfterSeconds: 42, isRevoked: false }),
    ).toEqual({
      connected: false,
      reason: 'token_refresh_failed',
      message: expect.not.stringContaining('connect Spotify again'),
      retryable: true,
      retry_after: 42,
    });
  });

  test('about a grant that Spotify refuses, and that is not believed yet, says that it is kept and what helps', () => {
    const status = { kind: 'refresh_failed', details: null, retryAfterSeconds: 42, isRevoked: true } as const;
    expect(toAnswer(status)).toMatchObject({
      message: expect.stringMatching(/refuses your connection.*kept.*connect Spotify again/),
      retryable: true,
    });
  });
});
