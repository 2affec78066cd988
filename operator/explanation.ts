/** The part of the database's record of one connection that the explanation needs. Times are ISO 8601. */
export interface ExplainedConnection {
  readonly user_id: string;
  readonly state: 'connected' | 'reauthorization_required' | 'disconnected' | 'never_connected';
  readonly expires_at?: string | null | undefined;
  readonly seconds_left?: number | null | undefined;
  readonly connected_at?: string | null | undefined;
  readonly reauthorize_by?: string | null | undefined;
  readonly refreshed_at?: string | null | undefined;
  readonly refreshes?: number | undefined;
  readonly failures?: number | undefined;
  readonly held_since?: string | null | undefined;
  readonly revocation_reason?: string | null | undefined;
  readonly reauthorization_required_since?: string | null | undefined;
  readonly reauthorization_reason?: string | null | undefined;
  readonly tokens_cleared_at?: string | null | undefined;
  /** Newest first. */
  readonly changes: readonly Change[];
}

interface Change {
  readonly changed_at: string;
  readonly change: string;
  readonly reason: string | null;
}

/** One event in the history of a connection, in a support person's words. */
export interface HistoryEntry {
  /** ISO 8601. */
  readonly at: string;
  /** A change in `spotify_auth.changes`, or `connected` and `last_refreshed`, which come from the queue row. */
  readonly change: string;
  readonly reason: string | null;
  readonly text: string;
}

/** Why a connection is in its state. */
export interface Explanation {
  readonly user_id: string;
  readonly state: string;
  readonly summary: string;
  readonly advice: string;
  /** Newest first. */
  readonly history: readonly HistoryEntry[];
}

const DAY_MILLISECONDS = 24 * 60 * 60 * 1_000;

/** When the end of the six months is near enough to mention. */
const SOON_DAYS = 30;

/** Spotify's reasons for refusing a grant. */
const REASONS: Readonly<Record<string, string>> = {
  expired: "Spotify's six months are over",
  revoked: 'the user or Spotify revoked the permission',
  invalid: 'Spotify no longer knows the stored token',
  unknown: 'Spotify gave no reason',
};

/**
 * @param stage for the commands in the advice
 * @param now this machine's time, for events in the near future
 */
export function explain(connection: ExplainedConnection, stage: string, now: Date): Explanation {
  return {
    user_id: connection.user_id,
    state: connection.state,
    ...explainState(connection, stage, now),
    history: tellHistory(connection),
  };
}

type Present = Pick<Explanation, 'summary' | 'advice'>;

function explainState(connection: ExplainedConnection, stage: string, now: Date): Present {
  switch (connection.state) {
    case 'never_connected':
      return {
        summary: 'The user has never connected Spotify.',
        advice: 'Ask the user to connect Spotify in Bondhu.',
      };
    case 'disconnected':
      return {
        summary: 'The user has disconnected Spotify.',
        advice: 'If the user wants it back, ask them to connect Spotify in Bondhu.',
      };
    case 'reauthorization_required':
      return explainMark(connection);
    default:
      return explainLiving(connection, stage, now);
  }
}

function explainMark({
  reauthorization_reason: mark,
  reauthorization_required_since: since,
  revocation_reason: reason,
  tokens_cleared_at: clearedAt,
}: ExplainedConnection): Present {
  if (mark === 'no_refresh_token') {
    return {
      summary: `The user has had to reconnect since ${toWords(since)}: Bondhu stored tokens without a refresh token.`,
      advice:
        "Ask the user to reconnect Spotify in Bondhu. If it happens to several users, Bondhu's OAuth callback is at fault.",
    };
  }
  return {
    summary: `The user has had to reconnect since ${toWords(since)}: ${explainReason(reason)}.`,
    advice:
      clearedAt === null || clearedAt === undefined
        ? 'Ask the user to reconnect Spotify in Bondhu. If it happens to many users at once, see "Restoring after a false mass revocation" in docs/runbook.md.'
        : 'Ask the user to reconnect Spotify in Bondhu: the tokens have been removed, so nothing else helps.',
  };
}

function explainLiving(connection: ExplainedConnection, stage: string, now: Date): Present {
  const {
    user_id: userId,
    held_since: heldSince,
    failures = 0,
    seconds_left: secondsLeft,
    reauthorize_by: reauthorizeBy,
  } = connection;
  const hasRunOut = secondsLeft === null || secondsLeft === undefined || secondsLeft <= 0;
  const refresh = `npm run operate -- refresh ${userId} --stage ${stage}`;
  const token = hasRunOut ? 'the token has expired' : 'the token still works';
  if (heldSince !== null && heldSince !== undefined) {
    return {
      summary: `Spotify has refused the connection since ${toWords(heldSince)}, but the system does not believe it yet; ${token}.`,
      advice:
        'The system asks Spotify again by itself, and the user has nothing to do. If "doctor" or "statistics" show more, see "Revocation breaker open" in docs/runbook.md.',
    };
  }
  const [last] = connection.changes;
  if (last?.change === 'refused' && isAfter(last.changed_at, connection.refreshed_at)) {
    return {
      summary: `Bondhu's database rejects new tokens (${last.reason}); ${token}.`,
      advice:
        'The user has nothing to do. See "Profiles refuse tokens" in docs/runbook.md for the constraint or trigger.',
    };
  }
  if (failures > 0) {
    return {
      summary: `Connected, but the last ${failures === 1 ? 'refresh' : `${failures} refreshes`} failed; ${token}.`,
      advice: `"${refresh}" tries again, and shows Spotify's answer.`,
    };
  }
  if (hasRunOut) {
    return {
      summary: 'Connected, but the token has expired.',
      advice: `"${refresh}" refreshes it now; "doctor" shows whether sweeps run.`,
    };
  }
  if (
    reauthorizeBy !== null &&
    reauthorizeBy !== undefined &&
    Date.parse(reauthorizeBy) - now.getTime() < SOON_DAYS * DAY_MILLISECONDS
  ) {
    return {
      summary: `Connected until ${toWords(reauthorizeBy)}, when Spotify's six months end.`,
      advice: 'Ask the user to reconnect Spotify in Bondhu before then.',
    };
  }
  return {
    summary: 'Connected, and the token works.',
    advice:
      'Nothing. If the page says something else, ask the user to reload it, and to check that this is the right account.',
  };
}

function isAfter(at: string, earlier: string | null | undefined): boolean {
  return earlier === null || earlier === undefined || Date.parse(at) > Date.parse(earlier);
}

function tellHistory(connection: ExplainedConnection): HistoryEntry[] {
  const { changes, connected_at: connectedAt, refreshed_at: refreshedAt, refreshes = 0 } = connection;
  const told = changes.map(({ changed_at: at, change, reason }) => ({
    at,
    change,
    reason,
    text: describeChange(change, reason),
  }));
  if (refreshedAt !== null && refreshedAt !== undefined) {
    told.push({
      at: refreshedAt,
      change: 'last_refreshed',
      reason: null,
      text: `the token was last refreshed; it has been refreshed ${refreshes === 1 ? 'once' : `${refreshes} times`} since the user connected`,
    });
  }
  const isConnectingKnown = changes.some(({ change }) => change === 'authorized' || change === 'reconnected');
  if (!isConnectingKnown && connectedAt !== null && connectedAt !== undefined) {
    told.push({ at: connectedAt, change: 'connected', reason: null, text: 'the user connected Spotify' });
  }
  return told.sort((one, other) => Date.parse(other.at) - Date.parse(one.at));
}

function describeChange(change: string, reason: string | null): string {
  switch (change) {
    case 'authorized':
      return 'the user connected Spotify';
    case 'reconnected':
      return 'the user connected Spotify again';
    case 'incomplete':
      return 'Bondhu stored tokens without a refresh token: since then its page has asked the user to reconnect';
    case 'refreshed':
      return 'the token was refreshed for the first time';
    case 'held':
      return `Spotify refused the connection (${explainReason(reason)}) but was not believed, because it refused too many at once`;
    case 'revoked':
      return `Spotify refused the connection (${explainReason(reason)}): since then Bondhu's page has asked the user to reconnect`;
    case 'recovered':
      return 'Spotify accepted the connection again: the user had nothing to do';
    case 'restored':
      return 'an operator undid the mark';
    case 'told':
      return reason === 'reauthorization_required'
        ? 'an event told other teams that the user has to reconnect'
        : `an event told other teams that the user has to reconnect soon (${reason?.replaceAll('_', ' ')})`;
    case 'cleared':
      return 'the tokens of the dead connection were removed';
    case 'disconnected':
      return 'the user disconnected Spotify';
    case 'refused':
      return `Bondhu's database rejected new tokens (${reason})`;
    default:
      return reason === null ? change : `${change} (${reason})`;
  }
}

function explainReason(reason: string | null | undefined): string {
  return REASONS[reason ?? 'unknown'] ?? `Spotify said ${reason}`;
}

/** Such as `2026-11-24 03:12 UTC`. */
export function toWords(at: string | null | undefined): string {
  return at === null || at === undefined
    ? 'an unknown time'
    : `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
