import { AuthError } from '@supabase/supabase-js';
import type { FailureCode } from '../page-configuration.ts';

/** A request to the page's own server that failed. Branch on `code`; the message is for a person. */
export class DemoError extends Error {
  override readonly name = 'DemoError';

  constructor(code: string) {
    super(isKnown(code) ? FAILURES[code] : FAILURES.unexpected);
  }
}

const SUPABASE_DOWN = 'Supabase does not answer. Switch it back on below, or try again in a moment.';

const FAILURES: Readonly<Record<FailureCode | 'unreachable', string>> = {
  unreachable: 'The demo server does not answer. Check that it is still running, then try again.',
  signed_out: 'Your session has ended. Please sign in again.',
  supabase_unavailable: `${SUPABASE_DOWN} Nothing has changed.`,
  invalid_request: 'The demo server did not understand that. Please reload the page.',
  unexpected: 'Something went wrong. Please try again.',
};

function isKnown(code: string): code is keyof typeof FAILURES {
  return Object.hasOwn(FAILURES, code);
}

const SIGN_IN_FAILURES: Readonly<Record<string, string>> = {
  invalid_credentials: 'The e-mail address or the password is wrong.',
  user_already_exists: 'This e-mail address already has an account. Please sign in.',
  email_exists: 'This e-mail address already has an account. Please sign in.',
  weak_password: 'Please choose a longer password.',
  validation_failed: 'Please check the e-mail address and the password.',
  email_address_invalid: 'Please check the e-mail address.',
  over_request_rate_limit: 'Too many attempts. Please wait a minute.',
};

/** Says why signing in, up or out failed. Supabase's own texts are for developers: some are whole pages of HTML. */
export function describeAuthFailure(error: unknown): string {
  if (!(error instanceof AuthError)) return FAILURES.unexpected;
  if (error.name === 'AuthRetryableFetchError' || (error.status ?? 0) >= 500) return SUPABASE_DOWN;
  const code = error.code ?? '';
  return Object.hasOwn(SIGN_IN_FAILURES, code) ? `${SIGN_IN_FAILURES[code]}` : FAILURES.unexpected;
}

/** Says why the user came back from Spotify without a connection. @param code whatever the address says */
export function describeLandingFailure(code: string): string {
  switch (code) {
    case 'access_denied':
      return 'You cancelled at Spotify. Nothing has changed.';
    case 'invalid_state':
      return 'That link was too old or already used. Please start again from here.';
    default:
      return 'Spotify could not be connected this time. Please try again.';
  }
}
