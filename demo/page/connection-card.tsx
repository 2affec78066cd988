import type { Connection } from '@bondhu/spotify-connection';
import type { SpotifyConnection } from '@bondhu/spotify-connection/react';
import { useState } from 'react';
import type { DemoClient } from './demo-client.ts';
import { formatDay, formatDuration } from './times.ts';
import { useNow } from './use-now.ts';

const REMIND_FROM_DAYS = 30;

const HEADINGS = {
  checking: 'Checking Spotify…',
  connected: 'Spotify connected',
  disconnected: 'Spotify is not connected yet',
  reconnect: 'Spotify needs you once more',
  unavailable: 'Spotify’s state is unknown right now',
} as const;

const EXPLANATIONS = {
  checking: 'This is asked first thing, before anything else is loaded.',
  connected: 'You never have to think of it again: reload, sign out and in, come back next week.',
  disconnected: 'Connect it once: Spotify asks for your consent, and that was it.',
  reconnect: 'Its permission has ended: it was revoked, or six months are over. One click renews it.',
  unavailable: 'Something in between does not answer. Nothing is lost; it is asked again by itself.',
} as const;

/** How the user came back from Spotify. */
export type Landing = { readonly kind: 'connected' } | { readonly kind: 'failed'; readonly code: string };

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
  const { state, connection, daysUntilReauthorization, isConfirmed, recheck } = view;
  const [problem, setProblem] = useState('');

  async function attempt(action: () => Promise<void>) {
    setProblem('');
    await action().catch((error: Error) => setProblem(error.message));
  }

  return (
    <section className={`card connection ${state}`} aria-labelledby="connection-heading">
      <div role="status">
        <h1 id="connection-heading">
          <Mark state={state} />
          {HEADINGS[state]}
        </h1>
        {landing?.kind === 'connected' && <p className="landing">You are back from Spotify: it worked.</p>}
        {landing?.kind === 'failed' && (
          <p className="landing problem">Spotify was not connected: {landing.code}</p>
        )}
      </div>
      <p>
        {EXPLANATIONS[state]}
        {state === 'connected' && !isConfirmed && (
          <span className="note"> As known last, not confirmed yet.</span>
        )}
      </p>
      {connection && <Details connection={connection} />}
      {daysUntilReauthorization !== null && daysUntilReauthorization <= REMIND_FROM_DAYS && (
        <p className="banner">
          Spotify asks everybody to reconnect twice a year: you have {daysUntilReauthorization} days left.
        </p>
      )}
      <div className="row">
        {(state === 'disconnected' || state === 'reconnect') && (
          <button type="button" className="primary" onClick={() => attempt(() => demo.connect())}>
            {state === 'reconnect' ? 'Reconnect Spotify' : 'Connect Spotify'}
          </button>
        )}
        <button type="button" onClick={() => recheck()}>
          Check again
        </button>
        {state === 'connected' && (
          <button
            type="button"
            onClick={() =>
              attempt(async () => {
                await demo.disconnect();
                await recheck();
              })
            }
          >
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
function Details({ connection }: { readonly connection: Connection }) {
  const { spotifyUserEmail, expiresAt, connectedAt, reauthorizeBy, autoRefreshed, degraded } = connection;
  const now = useNow();
  return (
    <dl>
      {spotifyUserEmail !== null && (
        <>
          <dt>Account</dt>
          <dd>{spotifyUserEmail}</dd>
        </>
      )}
      {expiresAt !== null && (
        <>
          <dt>Token</dt>
          <dd>
            {formatDuration(Date.parse(expiresAt) - now)}
            {autoRefreshed && ', just refreshed for you'}
            {degraded && ', could not be refreshed when it should have been'}
          </dd>
        </>
      )}
      {connectedAt !== null && (
        <>
          <dt>Connected</dt>
          <dd>{formatDay(connectedAt)}</dd>
        </>
      )}
      {reauthorizeBy !== null && (
        <>
          <dt>Reconnect by</dt>
          <dd>{formatDay(reauthorizeBy)}</dd>
        </>
      )}
    </dl>
  );
}

function Mark({ state }: { readonly state: keyof typeof HEADINGS }) {
  const shape = {
    checking: 'M5 10h.01M10 10h.01M15 10h.01',
    connected: 'M5.5 10.4l3 3 6-6.6',
    disconnected: 'M10 6v8M6 10h8',
    reconnect: 'M10 5.5v5.5M10 14.2v.1',
    unavailable: 'M6 10h8',
  }[state];
  return (
    <svg className="mark" viewBox="0 0 20 20" aria-hidden="true">
      <circle cx="10" cy="10" r="10" />
      <path d={shape} />
    </svg>
  );
}
