import type { SupabaseClient } from '@supabase/supabase-js';
import { useState } from 'react';
import { describeAuthFailure } from './failures.ts';

/** Who is signed in. */
export function Account({ email, supabase }: { readonly email: string; readonly supabase: SupabaseClient }) {
  const [problem, setProblem] = useState('');

  async function signOut() {
    const { error } = await supabase.auth.signOut().catch((error: unknown) => ({ error }));
    if (error) setProblem(`${describeAuthFailure(error)} You are still signed in.`);
  }

  return (
    <section className="card account" aria-labelledby="account-heading">
      <h2 id="account-heading">Signed in as</h2>
      <p className="who">
        <span className="avatar" aria-hidden="true">
          {email.charAt(0).toUpperCase()}
        </span>
        {email}
      </p>
      <p className="quiet">Signing out changes nothing at Spotify.</p>
      <div className="row">
        <button type="button" onClick={signOut}>
          Sign out
        </button>
      </div>
      <p className="problem" role="alert">
        {problem}
      </p>
    </section>
  );
}
