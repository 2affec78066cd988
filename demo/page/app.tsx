import type { StatusClient } from '@bondhu/spotify-connection';
import { useSpotifyConnection, useSpotifyLanding } from '@bondhu/spotify-connection/react';
import type { SupabaseClient } from '@supabase/supabase-js';
import { useState } from 'react';
import type { SampleSignIn } from '../page-configuration.ts';
import { ConnectionCard, type Landing } from './connection-card.tsx';
import type { DemoClient } from './demo-client.ts';
import { LiveView } from './live-view.tsx';
import { Panel } from './panel.tsx';
import { useUser } from './session.ts';
import { SignIn } from './sign-in.tsx';
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
  const [landing, setLanding] = useState<Landing | null>(null);
  useSpotifyLanding({
    onConnected: () => setLanding({ kind: 'connected' }),
    onError: (code) => setLanding({ kind: 'failed', code }),
  });
  const { snapshot, logLines } = useLiveView();
  return (
    <>
      <header>
        <p className="brand">Bondhu</p>
        <p className="tagline">Connect Spotify once. It stays connected.</p>
        {user && <Account email={user.email} supabase={supabase} />}
      </header>
      <main>
        <div className="stage">
          {user ? (
            <ConnectionCard view={connection} demo={demo} landing={landing} />
          ) : (
            <SignIn supabase={supabase} sampleUsers={sampleUsers} />
          )}
          <Panel demo={demo} isSignedIn={user !== null} snapshot={snapshot} />
        </div>
        <LiveView snapshot={snapshot} logLines={logLines} userId={user?.id} />
      </main>
    </>
  );
}

function Account({ email, supabase }: { readonly email: string; readonly supabase: SupabaseClient }) {
  const [problem, setProblem] = useState('');

  async function signOut() {
    const { error } = await supabase.auth.signOut();
    if (error) setProblem('Supabase cannot be reached: you are still signed in.');
  }

  return (
    <div className="account">
      <span className="problem" role="alert">
        {problem}
      </span>
      <span>{email}</span>
      <button type="button" onClick={signOut}>
        Sign out
      </button>
    </div>
  );
}
