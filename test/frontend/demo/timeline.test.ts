import { describe, expect, test } from '@jest/globals';
import type { Snapshot, ViewedConnection, ViewedEvent } from '../../../demo/live-view-events.ts';
import { buildTimeline, describeState } from '../../../demo/page/timeline.ts';
import { formatInterval } from '../../../demo/page/times.ts';

const NOW = Date.parse('2026-11-24T12:00:00.000Z');
const minutes = (count: number) => new Date(NOW + count * 60_000).toISOString();

function connection(properties: Partial<ViewedConnection> = {}): ViewedConnection {
  return {
    userId: 'a',
    email: 'a@example.com',
    state: 'connected',
    expiresAt: minutes(40),
    isLeased: false,
    failures: 0,
    events: [],
    ...properties,
  };
}

const schedule = { everySeconds: 1_800, nextAt: minutes(20) };
const sweep = (at: string, counts = {}) => ({
  at,
  status: 'completed',
  refreshed: 2,
  failed: 0,
  revoked: 0,
  ...counts,
});

function textsOf(viewed: ViewedConnection, snapshot: Partial<Snapshot> = {}): string[] {
  const entries = buildTimeline(viewed, { schedule: null, sweeps: [], ...snapshot }, NOW);
  return entries.map(({ at, text }) => `${Math.round((at - NOW) / 60_000)} ${text}`);
}

describe('a timeline', () => {
  test('goes from what is ahead to what has been', () => {
    const events: ViewedEvent[] = [
      { at: minutes(-20), kind: 'call', outcome: 'refreshed', status: 200 },
      { at: minutes(-30), kind: 'change', change: 'reconnected', reason: null },
    ];
    expect(textsOf(connection({ events }), { schedule, sweeps: [sweep(minutes(-10))] })).toEqual([
      '40 Token expires',
      '20 Next sweep',
      '-10 Sweep completed (all users: 2 refreshed)',
      '-20 Token refreshed',
      '-30 Spotify reconnected',
    ]);
  });

  test.each([
    ['completed', 'Sweep completed'],
    ['out_of_time', 'Sweep ran out of time'],
    ['throttled', 'Sweep stopped, because Spotify asked for a pause'],
    ['client_rejected', 'Sweep stopped, because Spotify rejected the client’s credentials'],
    ['something_new', 'Sweep ended'],
  ])('says what a sweep came to: %s', (status, text) => {
    const sweeps = [sweep(minutes(-1), { status, failed: 3, revoked: 1 })];
    expect(textsOf(connection({ expiresAt: null }), { sweeps })).toEqual([
      `-1 ${text} (all users: 2 refreshed, 3 failed, 1 must reconnect)`,
    ]);
  });

  test('has the last of several sweeps in a row, so that they do not hide what happened', () => {
    const events: ViewedEvent[] = [
      { at: minutes(-4), kind: 'action', action: 'six-months', secondsPassed: 1 },
    ];
    const sweeps = [-1, -2, -3, -5, -6].map((at) => sweep(minutes(at)));
    expect(textsOf(connection({ events, expiresAt: null }), { schedule, sweeps })).toEqual([
      '20 Next sweep',
      '-1 Sweep completed (all users: 2 refreshed)',
      '-4 You let six months pass',
      '-5 Sweep completed (all users: 2 refreshed)',
    ]);
  });

  test.each([
    ['refreshed', 200, 'Token refreshed'],
    ['invalid_grant', 400, 'Spotify refused to refresh: the grant is dead'],
    ['429', 429, 'Spotify answered 429: too many requests'],
    ['503', 503, 'Not refreshed: Spotify answered 503'],
    ['hang', null, 'Spotify did not answer'],
  ])('tells of a call with the outcome %s', (outcome, status, text) => {
    const events: ViewedEvent[] = [{ at: minutes(-1), kind: 'call', outcome, status }];
    expect(textsOf(connection({ events, expiresAt: null }))).toEqual([`-1 ${text}`]);
  });

  test('leaves out what another entry tells', () => {
    const events: ViewedEvent[] = [
      { at: minutes(-1), kind: 'call', outcome: 'authorized', status: 200 },
      { at: minutes(-1), kind: 'change', change: 'refreshed', reason: null },
    ];
    expect(textsOf(connection({ events, expiresAt: null }))).toEqual([]);
  });

  test.each(['disconnected', 'never-connected'] as const)(
    'has no expiry where there is no token: %s',
    (state) => {
      expect(textsOf(connection({ state }))).toEqual([]);
    },
  );
});

test.each([
  ['connected', {}, 'connected'],
  ['connected', { isLeased: true, failures: 1 }, 'connected, refreshing, 1 failed refresh'],
  ['connected', { failures: 2 }, 'connected, 2 failed refreshes'],
  ['never-connected', {}, 'never connected'],
  ['held', {}, 'refused, kept for now'],
  ['reauthorization-required', { expiresAt: minutes(-1) }, 'has to reconnect'],
  ['reauthorization-required', { expiresAt: null }, 'has to reconnect'],
  ['reauthorization-required', { expiresAt: minutes(1) }, 'connected until the token expires'],
] as const)('the state %s with %j is "%s"', (state, properties, text) => {
  expect(describeState(connection({ state, ...properties }), NOW).text).toBe(text);
});

test.each([
  [1_800, 'every 30 minutes'],
  [10, 'every 10 seconds'],
  [60, 'every minute'],
  [3_600, 'every hour'],
  [7_200, 'every 2 hours'],
  [90, 'every 90 seconds'],
])('a sweep that runs each %d seconds runs %s', (seconds, text) => {
  expect(formatInterval(seconds)).toBe(text);
});
