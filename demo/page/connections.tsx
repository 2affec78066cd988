import type { Snapshot, ViewedConnection } from '../live-view-events.ts';
import { buildTimeline, describeState, expiryOf, type TimelineEntry } from './timeline.ts';
import { formatClock, formatDuration, formatInterval, formatMoment } from './times.ts';
import { useNow } from './use-now.ts';

const MINUTE = 60_000;

/** What a strip shows: the future is longer, for a token lives an hour. */
const PAST = 20 * MINUTE;
const FUTURE = 70 * MINUTE;
const TOKEN_LIFE = 60 * MINUTE;
const LABELS = [-15, 0, 15, 30, 45, 60];

const SHOWN_ENTRIES = 10;

/** A timeline per connection: its token, the sweeps, and what happened. */
export function Connections({
  snapshot,
  userId,
}: {
  readonly snapshot: Snapshot | null;
  /** Who is signed in, and comes first. */
  readonly userId: string | undefined;
}) {
  const now = useNow();
  const all = snapshot?.connections ?? [];
  const isMine = (connection: ViewedConnection) => connection.userId === userId;
  const sorted = [...all.filter(isMine), ...all.filter((connection) => !isMine(connection))];
  return (
    <section className="card connections" aria-labelledby="connections-heading">
      <div className="title">
        <h2 id="connections-heading">Connections</h2>
        {snapshot && <p className="quiet">{describeSweeps(snapshot)}</p>}
      </div>
      {snapshot && <Notices snapshot={snapshot} />}
      <p className="quiet legend">
        A bar is the life of a token, a dotted line is a sweep, and a dot is an event.
      </p>
      <div className="connection-row axis" aria-hidden="true">
        <div className="strip">
          {LABELS.map((minutes) => (
            <span key={minutes} style={{ left: position(minutes * MINUTE) }}>
              {minutes === 0 ? 'now' : `${minutes > 0 ? '+' : '−'}${Math.abs(minutes)} min`}
            </span>
          ))}
        </div>
      </div>
      {snapshot &&
        sorted.map((connection) => (
          <Timeline
            key={connection.userId}
            connection={connection}
            entries={buildTimeline(connection, snapshot, now)}
            isMine={isMine(connection)}
            now={now}
          />
        ))}
      {snapshot && snapshot.connectionCount > all.length && (
        <p className="quiet">
          These are the first {all.length} of {snapshot.connectionCount}.
        </p>
      )}
    </section>
  );
}

function describeSweeps({ schedule, sweeps: [last], isSweeping }: Snapshot): string {
  const plan = schedule
    ? `A sweep runs ${formatInterval(schedule.everySeconds)}, next at ${formatClock(schedule.nextAt)}.`
    : 'The schedule is disabled.';
  if (isSweeping) return `${plan} One is running.`;
  return last ? `${plan} The last one ended at ${formatClock(last.at)}.` : plan;
}

function Notices({ snapshot: { notBefore, breakerOpenedAt } }: { readonly snapshot: Snapshot }) {
  return (
    <>
      {notBefore !== null && (
        <p className="banner">
          Spotify has asked for a pause. No function calls it before {formatClock(notBefore)}.
        </p>
      )}
      {breakerOpenedAt !== null && (
        <p className="banner">
          The revocation breaker has been open since {formatClock(breakerOpenedAt)}. Spotify refuses so many
          grants that the system does not believe it, and asks no user to reconnect.
        </p>
      )}
    </>
  );
}

function Timeline({
  connection,
  entries,
  isMine,
  now,
}: {
  readonly connection: ViewedConnection;
  readonly entries: readonly TimelineEntry[];
  readonly isMine: boolean;
  readonly now: number;
}) {
  const state = describeState(connection, now);
  const expiry = expiryOf(connection) - now;
  const latest = entries.find(({ at, kind }) => at <= now && kind === 'event');
  return (
    <details className={isMine ? 'mine' : undefined} open={isMine}>
      <summary className="connection-row">
        <span className="whose">
          <strong>{connection.email.split('@')[0]}</strong>
          {isMine && <span className="note">you</span>}
          <span className={`state ${state.tone}`}>{state.text}</span>
        </span>
        <Strip expiry={expiry} entries={entries} now={now} />
        <span className="latest">
          <span>{Number.isNaN(expiry) ? '' : formatDuration(expiry)}</span>
          <span className="quiet">{latest && `${latest.text}, ${formatMoment(latest.at, now)}`}</span>
        </span>
      </summary>
      <ol className="entries">
        {entries.slice(0, SHOWN_ENTRIES).map(({ at, kind, tone, text }) => (
          <li key={`${at} ${text}`} className={`${kind} ${tone} ${at > now ? 'ahead' : ''}`}>
            <time dateTime={new Date(at).toISOString()}>{formatMoment(at, now)}</time>
            {text}
          </li>
        ))}
      </ol>
    </details>
  );
}

/** The same for the eye; what it says stands in the list. */
function Strip({
  expiry,
  entries,
  now,
}: {
  /** Milliseconds from now; NaN: unknown. */
  readonly expiry: number;
  readonly entries: readonly TimelineEntry[];
  readonly now: number;
}) {
  const start = Math.max(-PAST, expiry - TOKEN_LIFE);
  return (
    <span className="strip" aria-hidden="true">
      {expiry > -PAST && (
        <span
          className={`life ${expiry > 0 ? '' : 'over'}`}
          style={{ left: position(start), width: `${percent(expiry) - percent(start)}%` }}
        />
      )}
      <span className="now" style={{ left: position(0) }} />
      {entries
        .filter(({ at, kind }) => kind !== 'expiry' && at - now > -PAST && at - now < FUTURE)
        .map(({ at, kind, tone, text }) => (
          <span key={`${at} ${text}`} className={`${kind} ${tone}`} style={{ left: position(at - now) }} />
        ))}
    </span>
  );
}

/** @param offset milliseconds from now */
function percent(offset: number): number {
  return ((Math.min(offset, FUTURE) + PAST) / (PAST + FUTURE)) * 100;
}

function position(offset: number): string {
  return `${percent(offset)}%`;
}
