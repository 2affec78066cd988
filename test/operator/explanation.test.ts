import { describe, expect, test } from '@jest/globals';
import { type ExplainedConnection, explain } from '../../operator/explanation.ts';

const USER = '6f3c0b52-9d3e-4c57-9a39-3f1c5a0d7e11';
const NOW = new Date('2026-11-26T12:00:00Z');

const connected: ExplainedConnection = {
  user_id: USER,
  state: 'connected',
  expires_at: '2026-11-26T12:50:00Z',
  seconds_left: 3_000,
  connected_at: '2026-10-24T04:00:00Z',
  reauthorize_by: '2027-04-24T04:00:00Z',
  refreshed_at: '2026-11-26T11:50:00Z',
  refreshes: 1_234,
  failures: 0,
  changes: [],
};

const dead: ExplainedConnection = {
  ...connected,
  state: 'reauthorization_required',
  reauthorization_reason: 'grant_revoked',
  reauthorization_required_since: '2026-11-25T03:12:00Z',
  revocation_reason: 'expired',
};

describe('how a connection stands, and what to do', () => {
  test.each<[string, ExplainedConnection, RegExp, RegExp]>([
    ['all is well', connected, /^Connected, and the token works\.$/, /^Nothing\./],
    [
      'six months are nearly over',
      { ...connected, reauthorize_by: '2026-12-03T04:00:00Z' },
      /^Connected until 2026-12-03 04:00 UTC, when Spotify's six months end\.$/,
      /reconnect Spotify in Bondhu before then/,
    ],
    [
      'the token ran out',
      { ...connected, seconds_left: -60 },
      /^Connected, but the token has expired\.$/,
      new RegExp(`^"npm run operate -- refresh ${USER} --stage dev" refreshes it now`),
    ],
    [
      'refreshes fail',
      { ...connected, failures: 3 },
      /^Connected, but the last 3 refreshes failed; the token still works\.$/,
      new RegExp(`^"npm run operate -- refresh ${USER} --stage dev" tries again`),
    ],
    [
      'one refresh failed',
      { ...connected, failures: 1 },
      /^Connected, but the last refresh failed; the token still works\.$/,
      /tries again/,
    ],
    [
      'the grant is held',
      { ...connected, held_since: '2026-11-26T11:00:00Z', seconds_left: null },
      /^Spotify has refused the connection since 2026-11-26 11:00 UTC, but the system does not believe it yet; the token has expired\.$/,
      /the user has nothing to do/,
    ],
    [
      "Bondhu's schema refuses tokens",
      {
        ...connected,
        failures: 2,
        changes: [{ changed_at: '2026-11-26T11:55:00Z', change: 'refused', reason: '23514 a_check' }],
      },
      /^Bondhu's database rejects new tokens \(23514 a_check\)/,
      /Profiles refuse tokens/,
    ],
    [
      'the six months are over',
      dead,
      /^The user has had to reconnect since 2026-11-25 03:12 UTC: Spotify's six months are over\.$/,
      /^Ask the user to reconnect Spotify in Bondhu\. If it happens to many/,
    ],
    [
      'the user revoked it, and the tokens are gone',
      { ...dead, revocation_reason: 'revoked', tokens_cleared_at: '2026-12-02T03:12:00Z' },
      /revoked the permission\.$/,
      /the tokens have been removed/,
    ],
    [
      'there is no refresh token',
      { ...dead, reauthorization_reason: 'no_refresh_token', revocation_reason: null },
      /without a refresh token\.$/,
      /OAuth callback/,
    ],
    [
      'the user disconnected',
      { user_id: USER, state: 'disconnected', changes: [] },
      /has disconnected/,
      /If the user wants it back/,
    ],
    [
      'the user never connected',
      { user_id: USER, state: 'never_connected', changes: [] },
      /never connected/,
      /connect Spotify/,
    ],
  ])('where %s', (_name, connection, summary, advice) => {
    const explanation = explain(connection, 'dev', NOW);

    expect(explanation.summary).toMatch(summary);
    expect(explanation.advice).toMatch(advice);
  });

  test('a refusal that a refresh has followed is over', () => {
    const changes = [{ changed_at: '2026-11-26T11:00:00Z', change: 'refused', reason: '23514' }];

    expect(explain({ ...connected, changes }, 'dev', NOW).summary).toBe('Connected, and the token works.');
  });
});

describe('the history', () => {
  test('goes from now backwards, with what the queue row knows in its place', () => {
    const changes = [
      { changed_at: '2026-11-25T03:42:00Z', change: 'told', reason: 'reauthorization_required' },
      { changed_at: '2026-11-25T03:12:00Z', change: 'revoked', reason: 'expired' },
      { changed_at: '2026-10-24T04:30:00Z', change: 'refreshed', reason: null },
      { changed_at: '2026-10-24T04:00:00Z', change: 'authorized', reason: null },
    ];
    const { history } = explain({ ...dead, refreshed_at: '2026-11-25T02:40:00Z', changes }, 'dev', NOW);

    expect(history.map(({ at, change, text }) => `${at} ${change}: ${text}`)).toEqual([
      '2026-11-25T03:42:00Z told: an event told other teams that the user has to reconnect',
      "2026-11-25T03:12:00Z revoked: Spotify refused the connection (Spotify's six months are over): since then Bondhu's page has asked the user to reconnect",
      '2026-11-25T02:40:00Z last_refreshed: the token was last refreshed; it has been refreshed 1234 times since the user connected',
      '2026-10-24T04:30:00Z refreshed: the token was refreshed for the first time',
      '2026-10-24T04:00:00Z authorized: the user connected Spotify',
    ]);
  });

  test('that does not go back so far begins with the time that the profile knows', () => {
    const { history } = explain({ ...connected, refreshes: 1 }, 'dev', NOW);

    expect(history.map(({ at, text }) => [at, text])).toEqual([
      [
        connected.refreshed_at,
        'the token was last refreshed; it has been refreshed once since the user connected',
      ],
      [connected.connected_at, 'the user connected Spotify'],
    ]);
  });

  test.each([
    'authorized',
    'reconnected',
    'incomplete',
    'refreshed',
    'held',
    'revoked',
    'recovered',
    'restored',
    'told',
    'cleared',
    'disconnected',
    'refused',
  ])('has words for %s', (change) => {
    const changes = [{ changed_at: '2026-11-25T03:12:00Z', change, reason: null }];
    const { history } = explain({ user_id: USER, state: 'disconnected', changes }, 'dev', NOW);

    expect(history[0]?.text.split(' ').length).toBeGreaterThan(3);
  });
});
