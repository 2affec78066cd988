import { describe, expect, test } from '@jest/globals';
import { UnsecuredJWT } from 'jose';
import { SPOTIFY_CLIENT, SUPABASE_CREDENTIALS } from '../../lambda/adapters/secret.ts';
import { parseSecretValue } from '../../operator/secret-value.ts';

const CANARY = 'canary-7f3a';

/** A key of a project that has no secret keys yet. */
const legacyKey = (role: string) => new UnsecuredJWT({ role, ref: CANARY }).encode();

describe('a value that fits', () => {
  test.each([
    ['Spotify client', SPOTIFY_CLIENT, { client_id: 'id', client_secret: 'hush' }],
    ['secret key', SUPABASE_CREDENTIALS, { secret_key: 'sb_secret_hush' }],
    ['secret key and JWT secret', SUPABASE_CREDENTIALS, { secret_key: 'sb_secret_hush', jwt_secret: 'hush' }],
    ['legacy service_role key', SUPABASE_CREDENTIALS, { secret_key: legacyKey('service_role') }],
  ])('is taken as it is: %s', (_name, format, value) => {
    const text = `${JSON.stringify(value, null, 2)}\n`;

    expect(JSON.parse(parseSecretValue(format, text))).toEqual(value);
  });
});

describe('a value that does not fit', () => {
  test.each([
    ['nothing', SPOTIFY_CLIENT, ' \n', /^standard input is empty: it must be \{"client_id"/],
    ['not JSON', SPOTIFY_CLIENT, `{"client_id": ${CANARY}`, /^the value is not JSON: it must be/],
    ['text', SPOTIFY_CLIENT, `"${CANARY}"`, /^the value is wrong at its top: it must be/],
    ['null', SPOTIFY_CLIENT, 'null', /^the value is wrong at its top: it must be/],
    [
      'a list',
      SPOTIFY_CLIENT,
      `["${CANARY}"]`,
      /^the value is wrong at client_id, client_secret: it must be/,
    ],
    [
      'a member missing',
      SPOTIFY_CLIENT,
      `{"client_id": "${CANARY}"}`,
      /^the value is wrong at client_secret: it/,
    ],
    [
      'an empty member',
      SPOTIFY_CLIENT,
      `{"client_id": "${CANARY}", "client_secret": ""}`,
      /^the value is wrong at client_secret: it must be/,
    ],
    [
      'a member too many',
      SPOTIFY_CLIENT,
      `{"client_id": "i", "client_secret": "s", "${CANARY}": "${CANARY}"}`,
      /^the value has an unknown member: it must be/,
    ],
    [
      'an invisible character',
      SUPABASE_CREDENTIALS,
      `{"secret_key": "sb_secret_${CANARY}\u200b"}`,
      /^the value is wrong at secret_key: it must be .*, in visible ASCII characters$/,
    ],
    [
      'a publishable key',
      SUPABASE_CREDENTIALS,
      `{"secret_key": "sb_publishable_${CANARY}"}`,
      /^secret_key is not the project's secret key: it must begin with sb_secret_/,
    ],
    [
      'a legacy anon key',
      SUPABASE_CREDENTIALS,
      JSON.stringify({ secret_key: legacyKey('anon') }),
      /^secret_key is not the project's secret key/,
    ],
    [
      'the JWT secret instead of the key',
      SUPABASE_CREDENTIALS,
      `{"secret_key": "${CANARY}"}`,
      /^secret_key is not the project's secret key/,
    ],
  ])('is refused in one line that does not repeat it: %s', (_name, format, text, line) => {
    const refused = () => parseSecretValue(format, text);

    expect(refused).toThrow(line);
    expect(refused).not.toThrow(CANARY);
    expect(refused).not.toThrow('\n');
  });
});
