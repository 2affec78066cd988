import type { Connection, KnownStatus } from './connection-status.ts';

const MILLISECONDS_PER_DAY = 24 * 60 * 60 * 1_000;

/** What to show about a user's connection. */
export type ConnectionView =
  | {
      readonly state: 'connected';
      /** Before the state is confirmed, everything but `reauthorizeBy` may be unknown. */
      readonly connection: Connection;
      /** Days, rounded up, until Spotify ends the authorization; null when unknown. */
      readonly daysUntilReauthorization: number | null;
      /** False while this is the last known state: from an earlier page, or because a later check failed. */
      readonly isConfirmed: boolean;
      readonly message: null;
    }
  | {
      /**
       * - `checking`: nothing is known yet, or no user is signed in.
       * - `disconnected`: never connected, or disconnected by the user.
       * - `reconnect`: the grant is dead; the user has to connect Spotify again.
       * - `unavailable`: nothing is known, because the check failed.
       */
      readonly state: 'checking' | 'disconnected' | 'reconnect' | 'unavailable';
      readonly connection: null;
      readonly daysUntilReauthorization: null;
      readonly isConfirmed: boolean;
      /** For the user: why to reconnect, or why the state is unknown. Text, not markup. */
      readonly message: string | null;
    };

/** Nothing is known yet. */
export const CHECKING: Extract<ConnectionView, { connection: null }> = {
  state: 'checking',
  connection: null,
  daysUntilReauthorization: null,
  isConfirmed: false,
  message: null,
};

/** The view of a status at a time in milliseconds since 1970. */
export function toView(status: KnownStatus, isConfirmed: boolean, now: number): ConnectionView {
  if (status.kind !== 'connected') {
    const isDead = status.kind === 'reauthorization_required';
    return {
      ...CHECKING,
      isConfirmed,
      state: isDead ? 'reconnect' : 'disconnected',
      message: isDead ? status.message : null,
    };
  }
  const { kind: state, ...connection } = status;
  const { reauthorizeBy } = connection;
  const daysUntilReauthorization =
    reauthorizeBy === null
      ? null
      : Math.max(0, Math.ceil((Date.parse(reauthorizeBy) - now) / MILLISECONDS_PER_DAY));
  return { state, connection, daysUntilReauthorization, isConfirmed, message: null };
}

/** The view after a failed check: the known state stays, but is no longer confirmed. */
export function toViewWithoutAnswer(view: ConnectionView, message: string | null): ConnectionView {
  return view.state === 'checking' || view.state === 'unavailable'
    ? { ...CHECKING, state: 'unavailable', message }
    : { ...view, isConfirmed: false };
}
