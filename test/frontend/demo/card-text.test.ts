import { describe, expect, test } from '@jest/globals';
import { type CardText, describeCard, goesWith, type Landing } from '../../../demo/page/card-text.ts';
import type { Connection } from '../../../frontend/src/connection-status.ts';
import { CHECKING, type ConnectionView } from '../../../frontend/src/connection-view.ts';

const MARKUP = '<img src=x onerror=alert(1)>';
const LANDINGS: readonly (Landing | null)[] = [
  null,
  { kind: 'connected' },
  ...['access_denied', 'invalid_state', 'token_exchange_failed', 'server_error', '', MARKUP].map(
    (code) => ({ kind: 'failed', code }) as const,
  ),
];

function connected(
  isConfirmed: boolean,
  daysUntilReauthorization: number | null,
  details: Partial<Connection> = {},
): ConnectionView {
  const connection: Connection = {
    spotifyUserId: null,
    spotifyUserEmail: null,
    connectedAt: null,
    expiresAt: null,
    reauthorizeBy: daysUntilReauthorization === null ? null : '2027-05-24T12:00:00.000Z',
    autoRefreshed: false,
    degraded: false,
    ...details,
  };
  return { state: 'connected', connection, daysUntilReauthorization, isConfirmed, message: null };
}

const BOTH = [true, false];
const VIEWS: readonly ConnectionView[] = [
  CHECKING,
  { ...CHECKING, state: 'unavailable', message: 'Failed to fetch' },
  ...BOTH.flatMap((isConfirmed) => [
    { ...CHECKING, state: 'disconnected' as const, isConfirmed },
    { ...CHECKING, state: 'reconnect' as const, isConfirmed, message: '<html>' },
    ...[null, 0, 1, 4, 30, 31, 180].flatMap((days) =>
      BOTH.map((degraded) => connected(isConfirmed, days, { degraded })),
    ),
  ]),
];

const CASES = VIEWS.flatMap((view) => LANDINGS.map((landing) => ({ view, landing })));

interface Facts {
  readonly view: ConnectionView;
  readonly landing: Landing | null;
}

const isConnected = ({ view }: Facts) => view.state === 'connected';
const isBack = ({ landing }: Facts) => landing?.kind === 'connected';
const hasFailed = ({ landing, view }: Facts) => landing?.kind === 'failed' && view.state !== 'connected';
const ends = ({ view }: Facts) =>
  view.isConfirmed && view.daysUntilReauthorization !== null && view.daysUntilReauthorization <= 30;
const lasts = (facts: Facts) =>
  isConnected(facts) && facts.view.isConfirmed && !ends(facts) && facts.view.connection?.degraded === false;

/** Every sentence there is, and when it is true. */
const SENTENCES: readonly [string, (facts: Facts) => boolean][] = [
  ['Spotify connected', isConnected],
  ['Checking Spotify…', ({ view }) => !view.isConfirmed && view.state !== 'connected'],
  ['Bondhu is looking up your connection.', ({ view }) => !view.isConfirmed && view.state !== 'connected'],
  ['Spotify is not connected', (facts) => facts.view.state === 'disconnected'],
  [
    'Connect it to use Spotify in Bondhu. Spotify will ask for your consent.',
    ({ view }) => view.state === 'disconnected' && view.isConfirmed,
  ],
  ['Please reconnect Spotify', ({ view }) => view.state === 'reconnect'],
  [
    'Bondhu no longer has access to your Spotify account. Reconnect to use it again.',
    ({ view }) => view.state === 'reconnect' && view.isConfirmed,
  ],
  ['Spotify can’t be checked right now', ({ view }) => view.state === 'unavailable'],
  ['Nothing is lost. Please try again in a moment.', ({ view }) => view.state === 'unavailable'],
  ['Last known state, not confirmed yet.', ({ view }) => !view.isConfirmed && view.state !== 'checking'],
  [
    'It works right now, but could not be renewed on time.',
    ({ view }) => view.connection?.degraded === true && view.isConfirmed,
  ],
  [
    'There is nothing for you to do.',
    (facts) => lasts(facts) && facts.view.daysUntilReauthorization === null,
  ],
  ['There is nothing for you to do until 24 May 2027.', lasts],
  ['Spotify connections last six months. Yours ends today.', (facts) => ends(facts)],
  ['Spotify connections last six months. Yours ends in 1 day.', (facts) => ends(facts)],
  ['Spotify connections last six months. Yours ends in 4 days.', (facts) => ends(facts)],
  ['Spotify connections last six months. Yours ends in 30 days.', (facts) => ends(facts)],
  ['Welcome back from Spotify.', (facts) => isBack(facts)],
  ['You cancelled at Spotify. Nothing has changed.', hasFailed],
  ['That link was too old or already used. Please start again from here.', hasFailed],
  ['Spotify could not be connected this time. Please try again.', hasFailed],
];

function sentencesOf({ heading, landing, sentence }: CardText): string[] {
  return [heading, ...(landing === null ? [] : [landing]), sentence];
}

describe('the card', () => {
  test.each(CASES)('says only what is true: $view.state, confirmed $view.isConfirmed, $landing', (facts) => {
    for (const said of sentencesOf(describeCard(facts.view, facts.landing))) {
      const [, isTrue] = SENTENCES.find(([sentence]) => sentence === said) ?? [];
      expect({ said, isKnown: isTrue !== undefined, isTrue: isTrue?.(facts) }).toEqual({
        said,
        isKnown: true,
        isTrue: true,
      });
    }
  });

  test('says each of its sentences in some state', () => {
    const all = new Set(CASES.flatMap(({ view, landing }) => sentencesOf(describeCard(view, landing))));
    expect([...all].sort()).toEqual(SENTENCES.map(([sentence]) => sentence).sort());
  });

  test.each(CASES)(
    'offers to connect where that helps: $view.state, $view.daysUntilReauthorization',
    (facts) => {
      const { view, landing } = facts;
      const isKnown = view.isConfirmed || landing?.kind !== 'connected';
      const expected =
        view.state === 'disconnected' && isKnown
          ? 'Connect Spotify'
          : (view.state === 'reconnect' && isKnown) || (isConnected(facts) && ends(facts))
            ? 'Reconnect Spotify'
            : null;
      expect(describeCard(view, landing).button).toBe(expected);
    },
  );
});

describe('how the user came back from Spotify', () => {
  const back = { kind: 'connected' } as const;
  const failed = { kind: 'failed', code: 'access_denied' } as const;

  test.each([
    ['a welcome', back, connected(true, 180), true],
    ['a welcome', back, { ...CHECKING, state: 'disconnected', isConfirmed: true } as const, false],
    ['a welcome', back, { ...CHECKING, state: 'reconnect', isConfirmed: true } as const, false],
    ['a failure', failed, connected(true, 180), false],
    ['a failure', failed, { ...CHECKING, state: 'disconnected', isConfirmed: true } as const, true],
    ['a failure', failed, { ...CHECKING, state: 'reconnect', isConfirmed: true } as const, true],
  ])('%s %j with %j: %p', (_what, landing, view, expected) => {
    expect(goesWith(landing, view)).toBe(expected);
  });

  test.each([back, failed])('waits for an answer: %j', (landing) => {
    for (const view of VIEWS.filter(({ isConfirmed }) => !isConfirmed)) {
      expect(goesWith(landing, view)).toBe(true);
    }
  });
});
