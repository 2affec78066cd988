import { expect, test } from '@jest/globals';
import {
  AuthApiError,
  AuthRetryableFetchError,
  AuthUnknownError,
  AuthWeakPasswordError,
} from '@supabase/supabase-js';
import { DemoError, describeAuthFailure, describeLandingFailure } from '../../../demo/page/failures.ts';

const HTML = '<html><head><title>503</title></head></html>';
const RAW = [
  'access_denied',
  'Failed to fetch',
  HTML,
  'server_error',
  '__proto__',
  'toString',
  'undefined',
  '',
];

/** A sentence for a person: words, no code, no markup. */
const SENTENCE = /^[A-Z][\w’' .,:-]+\.$/;

test.each(RAW)('no raw text reaches a person: %j', (raw) => {
  const said = [
    new DemoError(raw).message,
    describeLandingFailure(raw),
    describeAuthFailure(new AuthApiError(raw, 400, raw)),
    describeAuthFailure(new AuthApiError(raw, 503, undefined)),
    describeAuthFailure(new AuthUnknownError(raw, null)),
    describeAuthFailure(new AuthRetryableFetchError(raw, 0)),
    describeAuthFailure(new TypeError(raw)),
    describeAuthFailure(raw),
  ];
  for (const sentence of said) {
    expect(sentence).toMatch(SENTENCE);
    if (raw !== '') expect(sentence).not.toContain(raw);
  }
});

test.each([
  ['unreachable', 'The demo server does not answer. Check that it is still running, then try again.'],
  ['signed_out', 'Your session has ended. Please sign in again.'],
  [
    'supabase_unavailable',
    'Supabase does not answer. Switch it back on below, or try again in a moment. Nothing has changed.',
  ],
  ['invalid_request', 'The demo server did not understand that. Please reload the page.'],
  ['unexpected', 'Something went wrong. Please try again.'],
])('the server fails with %s', (code, sentence) => {
  expect(new DemoError(code).message).toBe(sentence);
});

test.each([
  [
    'Supabase is down',
    new AuthRetryableFetchError('Failed to fetch', 0),
    'Supabase does not answer. Switch it back on below, or try again in a moment.',
  ],
  [
    'the password is wrong',
    new AuthApiError('Invalid login credentials', 400, 'invalid_credentials'),
    'The e-mail address or the password is wrong.',
  ],
  [
    'the user exists',
    new AuthApiError('User already registered', 422, 'user_already_exists'),
    'This e-mail address already has an account. Please sign in.',
  ],
  [
    'the password is weak',
    new AuthWeakPasswordError('Password is too weak', 422, ['length']),
    'Please choose a longer password.',
  ],
])('signing in fails because %s', (_why, error, sentence) => {
  expect(describeAuthFailure(error)).toBe(sentence);
});

test.each([
  ['access_denied', 'You cancelled at Spotify. Nothing has changed.'],
  ['invalid_state', 'That link was too old or already used. Please start again from here.'],
  ['token_exchange_failed', 'Spotify could not be connected this time. Please try again.'],
  ['server_error', 'Spotify could not be connected this time. Please try again.'],
])('the user comes back with %s', (code, sentence) => {
  expect(describeLandingFailure(code)).toBe(sentence);
});
