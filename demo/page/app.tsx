import type { StatusClient } from '@bondhu/spotify-connection';
import { useSpotifyConnection, useSpotifyLanding } from '@bondhu/spotify-connection/react';
import type { SupabaseClient } from '@supabase/supabase-js';
import { useState } from 'react';
import type { SampleSignIn } from '../page-configuration.ts';
import { Account } from './account.tsx';
import { goesWith, type Landing } from './card-text.ts';
import { ConnectionCard } from './connection-card.tsx';
import { Connections } from './connections.tsx';
import type { DemoClient } from './demo-client.ts';
import { Log } from './log.tsx';
import { Panel } from './panel.tsx';
import { useUser } from './session.ts';
import { SignIn } from './sign-in.tsx';
import { useKeptFocus } from './use-kept-focus.ts';
import { useLiveView } from './use-live-view.ts';

export interface AppProps {
  readonly supabase: SupabaseClient;
  readonly statusClient: StatusClient;
  readonly demo: DemoClient;
  readonly sampleUsers: readonly SampleSignIn[];
}

export function App({ supabase, statusClient, demo, sampleUsers }: AppProps) {
  const user = useUser(supabase);
  // Here rather than in the card, which is not there any more when the user has signed out.
  const connection = useSpotifyConnection({ client: statusClient, userId: user?.id });
  const [landing, setLanding] = useState<{ readonly of: string | undefined; readonly how: Landing } | null>(
    null,
  );
  useSpotifyLanding({
    onConnected: () => setLanding({ of: user?.id, how: { kind: 'connected' } }),
    onError: (code) => setLanding({ of: user?.id, how: { kind: 'failed', code } }),
  });
  if (landing && (landing.of !== user?.id || !goesWith(landing.how, connection))) setLanding(null);
  const { snapshot, logLines, isLive } = useLiveView();
  useKeptFocus();

  return (
    <>
      <header>
        <p className="brand">Bondhu</p>
        <p className="quiet">Spotify connection demo</p>
      </header>
      <main>
        {user ? (
          <div className="hero">
            <ConnectionCard view={connection} demo={demo} landing={landing?.how ?? null} />
            <Account email={user.email} supabase={supabase} />
          </div>
        ) : (
          <SignIn supabase={supabase} sampleUsers={sampleUsers} />
        )}
        <Panel demo={demo} isSignedIn={user !== null} snapshot={snapshot} />
        {!isLive && (
          <p className="banner">The demo server does not answer. What follows may be out of date.</p>
        )}
        <Connections snapshot={snapshot} userId={user?.id} />
        <Log lines={logLines} />
      </main>
    </>
  );
}
