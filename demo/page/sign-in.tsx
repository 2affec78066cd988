import type { SupabaseClient } from '@supabase/supabase-js';
import { type FormEvent, useState } from 'react';
import type { SampleSignIn } from '../page-configuration.ts';
import { describeAuthFailure } from './failures.ts';

const SAMPLE_NOTES: Readonly<Record<string, string>> = {
  fresh: 'connected, nothing to do',
  expiring: 'three minutes left, refreshed as you sign in',
  expired: 'expired ten minutes ago, refreshed as you sign in',
  revoked: 'has to reconnect',
  'past-six-months': 'has to reconnect',
  'before-six-months': 'has to reconnect in a few days',
  'without-refresh-token': 'connected until the token expires',
  'without-expiry': 'expiry unknown, refreshed as you sign in',
  'never-connected': 'starts from nothing',
};

/** Sign-up and sign-in with Supabase Auth, and one click for each of the stack's sample users. */
export function SignIn({
  supabase,
  sampleUsers,
}: {
  readonly supabase: SupabaseClient;
  readonly sampleUsers: readonly SampleSignIn[];
}) {
  const [problem, setProblem] = useState('');

  async function enter(method: 'signUp' | 'signInWithPassword', email: string, password: string) {
    setProblem('');
    const { error } = await supabase.auth[method]({ email, password }).catch((error: unknown) => ({ error }));
    if (error) setProblem(describeAuthFailure(error));
  }

  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const isNew = (event.nativeEvent as SubmitEvent).submitter?.getAttribute('value') === 'sign-up';
    void enter(
      isNew ? 'signUp' : 'signInWithPassword',
      String(form.get('email')),
      String(form.get('password')),
    );
  }

  return (
    <div className="hero">
      <section className="card" aria-labelledby="sign-in-heading">
        <h1 id="sign-in-heading" tabIndex={-1}>
          Sign in
        </h1>
        <form onSubmit={submit}>
          <label>
            E-mail
            <input name="email" type="email" autoComplete="username" required />
          </label>
          <label>
            Password
            <input name="password" type="password" autoComplete="current-password" minLength={8} required />
          </label>
          <div className="row">
            <button type="submit" className="primary">
              Sign in
            </button>
            <button type="submit" value="sign-up">
              Sign up
            </button>
          </div>
          <p className="problem" role="alert">
            {problem}
          </p>
        </form>
      </section>
      <section className="card samples" aria-labelledby="samples-heading">
        <h2 id="samples-heading">Or sign in as a sample user</h2>
        <ul>
          {sampleUsers.map(({ email, password, state }) => (
            <li key={email}>
              <button type="button" onClick={() => enter('signInWithPassword', email, password)}>
                {state.replaceAll('-', ' ')}
              </button>
              <span className="quiet">{SAMPLE_NOTES[state]}</span>
            </li>
          ))}
        </ul>
      </section>
    </div>
  );
}
