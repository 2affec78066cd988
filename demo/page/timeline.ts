import type {
  ConnectionState,
  Snapshot,
  ViewedConnection,
  ViewedEvent,
  ViewedSweep,
} from '../live-view-events.ts';

/** Something on a connection's timeline. */
export interface TimelineEntry {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly kind: 'event' | 'sweep' | 'expiry';
  readonly tone: 'good' | 'warning' | 'bad' | 'neutral';
  readonly text: string;
}

type Words = Pick<TimelineEntry, 'tone' | 'text'>;

const STATES: Readonly<Record<ConnectionState, Words>> = {
  connected: { tone: 'good', text: 'connected' },
  'never-connected': { tone: 'neutral', text: 'never connected' },
  disconnected: { tone: 'neutral', text: 'disconnected' },
  'reauthorization-required': { tone: 'bad', text: 'has to reconnect' },
  held: { tone: 'warning', text: 'refused, kept for now' },
};

/** Puts a connection's state into words. */
export function describeState(connection: ViewedConnection, now: number): Words {
  const { state, isLeased, failures } = connection;
  const isLastToken = state === 'reauthorization-required' && expiryOf(connection) > now;
  const { tone, text }: Words = isLastToken
    ? { tone: 'warning', text: 'connected until the token expires' }
    : STATES[state];
  const details = [
    text,
    isLeased && 'refreshing',
    failures > 0 && `${failures} failed ${failures === 1 ? 'refresh' : 'refreshes'}`,
  ];
  return { tone, text: details.filter(Boolean).join(', ') };
}

/** @returns milliseconds since 1970; NaN: there is no token, or nothing says when it expires */
export function expiryOf({ state, expiresAt }: ViewedConnection): number {
  const hasToken = state !== 'never-connected' && state !== 'disconnected';
  return hasToken ? Date.parse(expiresAt ?? '') : Number.NaN;
}

/** What is ahead of a connection and what happened to it, latest first. Of sweeps in a row only the last is there. */
export function buildTimeline(
  connection: ViewedConnection,
  { sweeps, schedule }: Pick<Snapshot, 'sweeps' | 'schedule'>,
  now: number,
): readonly TimelineEntry[] {
  const expiry = expiryOf(connection);
  const entries: TimelineEntry[] = [
    ...(Number.isNaN(expiry) ? [] : [describeExpiry(expiry, now)]),
    ...(schedule
      ? [
          {
            at: Date.parse(schedule.nextAt),
            kind: 'sweep' as const,
            tone: 'neutral' as const,
            text: 'Next sweep',
          },
        ]
      : []),
    ...connection.events.flatMap(toEntries),
    ...sweeps.map(describeSweep),
  ].toSorted((one, other) => other.at - one.at);
  const isPastSweep = (entry: TimelineEntry | undefined) => entry?.kind === 'sweep' && entry.at <= now;
  return entries.filter((entry, index) => !(isPastSweep(entry) && isPastSweep(entries[index - 1])));
}

function describeExpiry(at: number, now: number): TimelineEntry {
  return at > now
    ? { at, kind: 'expiry', tone: 'neutral', text: 'Token expires' }
    : { at, kind: 'expiry', tone: 'warning', text: 'Token expired' };
}

const SWEEPS: Readonly<Record<string, string>> = {
  completed: 'Sweep completed',
  out_of_time: 'Sweep ran out of time',
  throttled: 'Sweep stopped, because Spotify asked for a pause',
  client_rejected: 'Sweep stopped, because Spotify rejected the client’s credentials',
};

function describeSweep({ at, status, refreshed, failed, revoked }: ViewedSweep): TimelineEntry {
  const counts = [
    `${refreshed} refreshed`,
    failed > 0 && `${failed} failed`,
    revoked > 0 && `${revoked} must reconnect`,
  ].filter(Boolean);
  return {
    at: Date.parse(at),
    kind: 'sweep',
    tone: 'neutral',
    text: `${SWEEPS[status] ?? 'Sweep ended'} (all users: ${counts.join(', ')})`,
  };
}

const ACTIONS = {
  'expire-token': 'You let an hour pass',
  'six-months': 'You let six months pass',
  'revoke-grant': 'You revoked the grant at Spotify',
} as const;

const CHANGES: Readonly<Record<string, Words>> = {
  authorized: { tone: 'good', text: 'Spotify connected' },
  reconnected: { tone: 'good', text: 'Spotify reconnected' },
  incomplete: { tone: 'warning', text: 'Stored without a refresh token: cannot be renewed' },
  held: { tone: 'warning', text: 'Refusal not believed: the connection is kept for now' },
  revoked: { tone: 'bad', text: 'Connection ended: the user is asked to reconnect' },
  recovered: { tone: 'good', text: 'Works again' },
  restored: { tone: 'good', text: 'Restored by an operator' },
  told: { tone: 'neutral', text: 'Event sent to other teams' },
  cleared: { tone: 'neutral', text: 'Tokens of the ended connection removed' },
  disconnected: { tone: 'neutral', text: 'Spotify disconnected' },
  refused: { tone: 'bad', text: 'The database refused the new tokens' },
};

/** None for what another entry tells: a code exchange leads to a connection, and a first refresh was a call. */
function toEntries(event: ViewedEvent): readonly TimelineEntry[] {
  const entry = { at: Date.parse(event.at), kind: 'event' } as const;
  switch (event.kind) {
    case 'action':
      return [{ ...entry, tone: 'neutral', text: ACTIONS[event.action] }];
    case 'change': {
      const change = CHANGES[event.change];
      return change ? [{ ...entry, ...change }] : [];
    }
    case 'call':
      return event.outcome === 'authorized' ? [] : [{ ...entry, ...describeCall(event) }];
  }
}

function describeCall({ outcome, status }: Extract<ViewedEvent, { kind: 'call' }>): Words {
  if (outcome === 'refreshed') return { tone: 'good', text: 'Token refreshed' };
  if (outcome === 'invalid_grant')
    return { tone: 'bad', text: 'Spotify refused to refresh: the grant is dead' };
  if (status === 429) return { tone: 'warning', text: 'Spotify answered 429: too many requests' };
  return {
    tone: 'warning',
    text: status === null ? 'Spotify did not answer' : `Not refreshed: Spotify answered ${status}`,
  };
}
