import type { ReactNode } from 'react';
import type { Snapshot, ViewedConnection } from '../live-view-events.ts';
import { formatClock, formatDuration } from './times.ts';
import type { NumberedLogLine } from './use-live-view.ts';
import { useNow } from './use-now.ts';

const STATES: Readonly<Record<ViewedConnection['state'], string>> = {
  connected: 'connected',
  'never-connected': 'never connected',
  disconnected: 'disconnected',
  'reauthorization-required': 'has to reconnect',
  held: 'revoked? not believed yet',
};

/** What the backend does, as it happens. */
export function LiveView({
  snapshot,
  logLines,
  userId,
}: {
  readonly snapshot: Snapshot | null;
  readonly logLines: readonly NumberedLogLine[];
  /** Whose rows are marked. */
  readonly userId: string | undefined;
}) {
  return (
    <section className="live" aria-labelledby="live-heading">
      <h2 id="live-heading">What the backend does</h2>
      {snapshot && <Notices snapshot={snapshot} />}
      <div className="grid">
        <Connections connections={snapshot?.connections ?? []} userId={userId} />
        <Table
          caption="Calls to Spotify"
          columns={['at', 'for', 'outcome', 'status', 'ms']}
          rows={(snapshot?.calls ?? []).map((call) => ({
            key: `${call.at} ${call.email} ${call.outcome}`,
            cells: [
              formatClock(call.at),
              nameOf(call.email ?? 'unknown'),
              call.outcome,
              call.status ?? 'none',
              call.durationMillis,
            ],
          }))}
          whenEmpty="None so far."
        />
        <Table
          caption="Sweeps"
          columns={['at', 'status', 'refreshed', 'failed', 'revoked', 'left', 'ms']}
          rows={(snapshot?.sweeps ?? []).map((sweep) => ({
            key: sweep.at,
            cells: [
              formatClock(sweep.at),
              sweep.status,
              sweep.refreshed,
              sweep.failed,
              sweep.revoked,
              sweep.remaining,
              sweep.durationMillis,
            ],
          }))}
          whenEmpty="None so far. One runs every 30 minutes, or now, by the button above."
        />
        <Log lines={logLines} />
      </div>
    </section>
  );
}

function Notices({ snapshot }: { readonly snapshot: Snapshot }) {
  const notices = [
    snapshot.notBefore !== null &&
      `Spotify has asked everybody to wait: nobody calls it before ${formatClock(snapshot.notBefore)}.`,
    snapshot.breakerOpenedAt !== null &&
      `The revocation breaker is open since ${formatClock(snapshot.breakerOpenedAt)}: Spotify calls so many grants revoked that it is not believed, and nobody is told to reconnect.`,
  ].filter((notice) => notice !== false);
  return notices.map((notice) => (
    <p className="banner" key={notice}>
      {notice}
    </p>
  ));
}

function Connections({
  connections,
  userId,
}: {
  readonly connections: readonly ViewedConnection[];
  readonly userId: string | undefined;
}) {
  const now = useNow();
  return (
    <Table
      caption="Connections"
      columns={['user', 'state', 'token']}
      rows={connections.map((connection) => ({
        key: connection.userId,
        isMarked: connection.userId === userId,
        cells: [
          nameOf(connection.email) + (connection.userId === userId ? ' (you)' : ''),
          STATES[connection.state] +
            (connection.isLeased ? ', refreshing' : '') +
            (connection.failures > 0 ? `, ${connection.failures} failed` : ''),
          connection.state === 'never-connected' || connection.state === 'disconnected'
            ? ''
            : formatDuration(Date.parse(connection.expiresAt ?? '') - now),
        ],
      }))}
      whenEmpty="None yet."
    />
  );
}

function Log({ lines }: { readonly lines: readonly NumberedLogLine[] }) {
  return (
    // A scrolling region has to be reachable by keyboard.
    // biome-ignore lint/a11y/noNoninteractiveTabindex: see above
    <section className="log" aria-label="Log of the functions and the API, newest first" tabIndex={0}>
      <h3>Log</h3>
      <ol>
        {lines.map(({ number, at, level, source, what, user, outcome, durationMillis, details }) => (
          <li key={number} className={level.toLowerCase()}>
            <time>{formatClock(at)}</time>{' '}
            {[source, what, user, outcome, durationMillis !== null && `${durationMillis} ms`, details]
              .filter(Boolean)
              .join(' · ')}
          </li>
        ))}
      </ol>
    </section>
  );
}

function Table({
  caption,
  columns,
  rows,
  whenEmpty,
}: {
  readonly caption: string;
  readonly columns: readonly string[];
  readonly rows: readonly {
    readonly key: string;
    readonly isMarked?: boolean;
    readonly cells: readonly ReactNode[];
  }[];
  readonly whenEmpty: string;
}) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region has to be reachable by keyboard
    <section className="table" aria-label={caption} tabIndex={0}>
      <h3>{caption}</h3>
      {rows.length === 0 ? (
        <p className="note">{whenEmpty}</p>
      ) : (
        <table>
          <thead>
            <tr>
              {columns.map((column) => (
                <th key={column} scope="col">
                  {column}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map(({ key, isMarked = false, cells }) => (
              <tr key={key} className={isMarked ? 'marked' : undefined}>
                {cells.map((cell, index) => (
                  <td key={columns[index]}>{cell}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

/** What stands before the @ is enough here. */
function nameOf(email: string): string {
  return email.split('@')[0] ?? email;
}
