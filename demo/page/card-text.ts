import type { ConnectionView } from '@bondhu/spotify-connection';
import { describeLandingFailure } from './failures.ts';
import { formatDay } from './times.ts';

/** Spotify's reminder appears this many days before a connection ends. */
const REMIND_FROM_DAYS = 30;

/** How the user came back from Spotify. */
export type Landing = { readonly kind: 'connected' } | { readonly kind: 'failed'; readonly code: string };

/** Everything the card says, and the button it offers. */
export interface CardText {
  readonly tone: 'good' | 'warning' | 'neutral';
  readonly heading: string;
  /** How the user came back from Spotify, for as long as that goes with the state. */
  readonly landing: string | null;
  readonly sentence: string;
  /** Connects, or connects again. */
  readonly button: 'Connect Spotify' | 'Reconnect Spotify' | null;
}

/** Says whether a landing still goes with the state. Once it does not, it is over for good. */
export function goesWith(landing: Landing, { state, isConfirmed }: ConnectionView): boolean {
  return !isConfirmed || (landing.kind === 'connected') === (state === 'connected');
}

/** Puts a state into words: all of them, so that no two can contradict each other. */
export function describeCard(view: ConnectionView, landing: Landing | null): CardText {
  const isBack = landing?.kind === 'connected';
  // The last known state is older than the consent that the user has just given.
  const isOutdated =
    isBack && !view.isConfirmed && (view.state === 'disconnected' || view.state === 'reconnect');
  const text = isOutdated ? CHECKING : describeState(view);
  return { ...text, landing: view.state === 'connected' || isOutdated ? welcome(isBack) : failure(landing) };
}

const CHECKING = {
  tone: 'neutral',
  heading: 'Checking Spotify…',
  sentence: 'Bondhu is looking up your connection.',
  button: null,
} as const;

/** What is not confirmed makes no promise. */
const UNCONFIRMED = 'Last known state, not confirmed yet.';

function describeState(view: ConnectionView): Omit<CardText, 'landing'> {
  switch (view.state) {
    case 'checking':
      return CHECKING;
    case 'connected': {
      const isEnding = isEndingSoon(view);
      return {
        tone: isEnding || view.connection.degraded ? 'warning' : 'good',
        heading: 'Spotify connected',
        sentence: view.isConfirmed ? describeConnection(view) : UNCONFIRMED,
        button: isEnding ? 'Reconnect Spotify' : null,
      };
    }
    case 'disconnected':
      return {
        tone: 'neutral',
        heading: 'Spotify is not connected',
        sentence: view.isConfirmed
          ? 'Connect it to use Spotify in Bondhu. Spotify will ask for your consent.'
          : UNCONFIRMED,
        button: 'Connect Spotify',
      };
    case 'reconnect':
      return {
        tone: 'warning',
        heading: 'Please reconnect Spotify',
        sentence: view.isConfirmed
          ? 'Bondhu no longer has access to your Spotify account. Reconnect to use it again.'
          : UNCONFIRMED,
        button: 'Reconnect Spotify',
      };
    case 'unavailable':
      return {
        tone: 'neutral',
        heading: 'Spotify can’t be checked right now',
        sentence: 'Nothing is lost. Please try again in a moment.',
        button: null,
      };
  }
}

type Connected = Extract<ConnectionView, { readonly state: 'connected' }>;

function isEndingSoon({ isConfirmed, daysUntilReauthorization: days }: Connected): boolean {
  return isConfirmed && days !== null && days <= REMIND_FROM_DAYS;
}

function describeConnection(view: Connected): string {
  const { connection, daysUntilReauthorization: days } = view;
  if (connection.degraded) return 'It works right now, but could not be renewed on time.';
  if (isEndingSoon(view)) {
    const left = days === 0 ? 'Yours ends today.' : `Yours ends in ${days} ${days === 1 ? 'day' : 'days'}.`;
    return `Spotify connections last six months. ${left}`;
  }
  return connection.reauthorizeBy === null
    ? 'There is nothing for you to do.'
    : `There is nothing for you to do until ${formatDay(connection.reauthorizeBy)}.`;
}

function welcome(isBack: boolean): string | null {
  return isBack ? 'Welcome back from Spotify.' : null;
}

function failure(landing: Landing | null): string | null {
  return landing?.kind === 'failed' ? describeLandingFailure(landing.code) : null;
}
