import type { Connection } from '@bondhu/spotify-connection';
import type { SpotifyConnection } from '@bondhu/spotify-connection/react';
import { useState } from 'react';
import { describeCard, type Landing } from './card-text.ts';
import type { DemoClient } from './demo-client.ts';
import { formatDay, formatDuration } from './times.ts';
import { useNow } from './use-now.ts';

/** What the user sees of the connection: this card is what Bondhu's page would show. */
export function ConnectionCard({
  view,
  demo,
  landing,
}: {
  readonly view: SpotifyConnection;
  readonly demo: DemoClient;
  readonly landing: Landing | null;
}) {
  const { state, connection, isConfirmed, recheck } = view;
  const text = describeCard(view, landing);
  const [problem, setProblem] = useState('');

  async function attempt(action: () => Promise<void>) {
    setProblem('');
    await action().catch((error: Error) => setProblem(error.message));
  }

  async function disconnect() {
    await demo.disconnect();
    await recheck();
  }

  return (
    <section className={`card connection ${text.tone}`} aria-labelledby="connection-heading">
      <div role="status">
        <Mark state={state} />
        <h1 id="connection-heading" tabIndex={-1}>
          {text.heading}
        </h1>
        {text.landing !== null && <p>{text.landing}</p>}
        <p className="quiet">{text.sentence}</p>
      </div>
      {connection && <Details connection={connection} isConfirmed={isConfirmed} />}
      <div className="row">
        {text.button !== null && (
          <button type="button" className="primary" onClick={() => attempt(() => demo.connect())}>
            {text.button}
          </button>
        )}
        <button type="button" onClick={() => attempt(recheck)}>
          Check again
        </button>
        {state === 'connected' && (
          <button type="button" onClick={() => attempt(disconnect)}>
            Disconnect
          </button>
        )}
      </div>
      <p className="problem" role="alert">
        {problem}
      </p>
    </section>
  );
}

/** What is known; of the last known state that is not much. */
function Details({
  connection: { spotifyUserEmail, expiresAt, connectedAt, reauthorizeBy, autoRefreshed, degraded },
  isConfirmed,
}: {
  readonly connection: Connection;
  readonly isConfirmed: boolean;
}) {
  const now = useNow();
  const details = [
    { term: 'Account', text: spotifyUserEmail },
    {
      term: 'Token',
      // Of an unconfirmed state it may have run out long ago, or have been replaced.
      text: isConfirmed && expiresAt !== null && formatDuration(Date.parse(expiresAt) - now),
      note: autoRefreshed && 'just refreshed for you',
    },
    { term: 'Connected', text: connectedAt !== null && formatDay(connectedAt) },
    // One that cannot be renewed may end sooner.
    { term: 'Reconnect by', text: reauthorizeBy !== null && !degraded && formatDay(reauthorizeBy) },
  ].filter(({ text }) => text);
  return (
    <dl>
      {details.map(({ term, text, note }) => (
        <div key={term}>
          <dt>{term}</dt>
          <dd>
            {text}
            {note && <span className="note">{note}</span>}
          </dd>
        </div>
      ))}
    </dl>
  );
}

const MARKS: Readonly<Record<SpotifyConnection['state'], string>> = {
  checking: 'M5.5 10h.01M10 10h.01M14.5 10h.01',
  connected: 'M5.5 10.4l3 3 6-6.6',
  disconnected: 'M10 6v8M6 10h8',
  reconnect: 'M10 5.5v5.5M10 14.2v.1',
  unavailable: 'M6 10h8',
};

function Mark({ state }: { readonly state: SpotifyConnection['state'] }) {
  return (
    <svg className="mark" viewBox="0 0 20 20" aria-hidden="true">
      <circle cx="10" cy="10" r="10" />
      <path d={MARKS[state]} />
    </svg>
  );
}
