import { describe, expect, test } from '@jest/globals';
import {
  EnvironmentError,
  parseEnvironment,
  StatusEnvironment,
  SweeperEnvironment,
} from '../../../lambda/composition/environment.ts';

const refresh = {
  STACK_NAME: 'SpotifyAuth-dev',
  SUPABASE_URL: 'https://project.supabase.co',
  SUPABASE_TOKEN_ISSUERS: '["https://project.supabase.co/auth/v1"]',
  SUPABASE_SECRET_ARN: 'arn:supabase',
  SPOTIFY_SECRET_ARN: 'arn:spotify',
  SPOTIFY_TOKEN_URL: 'https://accounts.spotify.com/api/token',
  RESCUE_QUEUE_URL: 'https://sqs/rescue',
  RESCUE_KEY_ARN: 'arn:key',
};
const status = { ...refresh, STATUS_REFRESH_MARGIN_SECONDS: '300', STATUS_BUDGET_SECONDS: '8' };
const sweeper = {
  ...refresh,
  SWEEP_WINDOW_SECONDS: '2400',
  SWEEP_BATCH_SIZE: '500',
  SWEEP_INTERVAL_SECONDS: '1800',
  SWEEPER_TIMEOUT_SECONDS: '900',
  SWEEP_CONNECTIONS_PER_INVOCATION: '50000',
  SWEEP_QUEUE_URL: 'https://sqs/sweep',
  EVENT_BUS: 'default',
};

function parseStatus(variables: NodeJS.ProcessEnv) {
  return parseEnvironment(StatusEnvironment, variables);
}

describe('a value that is set', () => {
  test('is given as what it is', () => {
    expect(parseStatus({ ...status, PATH: '/bin' })).toEqual({
      ...status,
      SUPABASE_URL: new URL('https://project.supabase.co'),
      SUPABASE_TOKEN_ISSUERS: ['https://project.supabase.co/auth/v1'],
      SPOTIFY_TOKEN_URL: new URL('https://accounts.spotify.com/api/token'),
      RESCUE_QUEUE_URL: new URL('https://sqs/rescue'),
      STATUS_REFRESH_MARGIN_SECONDS: 300,
      STATUS_BUDGET_SECONDS: 8,
    });
  });

  test('or is not set, where that has a meaning', () => {
    expect(parseEnvironment(SweeperEnvironment, sweeper).SPOTIFY_CALLS_PER_SECOND).toBeUndefined();
    const limited = parseEnvironment(SweeperEnvironment, { ...sweeper, SPOTIFY_CALLS_PER_SECOND: '20' });
    expect(limited.SPOTIFY_CALLS_PER_SECOND).toBe(20);
  });
});

describe('a value that is missing', () => {
  test.each(Object.keys(status))('fails by its name: %s', (name) => {
    for (const value of [undefined, '']) {
      const variables = { ...status, [name]: value };
      expect(() => parseStatus(variables)).toThrow(EnvironmentError);
      expect(() => parseStatus(variables)).toThrow(expect.objectContaining({ code: 'ENVIRONMENT_INVALID' }));
      expect(() => parseStatus(variables)).toThrow(new RegExp(`^environment variable ${name} must be set$`));
    }
  });

  test('fails together with every other one', () => {
    const { STACK_NAME: _stack, SUPABASE_URL: _url, ...rest } = status;
    expect(() => parseStatus({ ...rest, STATUS_BUDGET_SECONDS: '0' })).toThrow(
      'environment variable STACK_NAME must be set; environment variable SUPABASE_URL must be set; ' +
        'environment variable STATUS_BUDGET_SECONDS must be a whole number above zero',
    );
  });
});

describe('a value that is malformed', () => {
  test.each([
    'project.supabase.co',
    '/path',
    'ftp://project',
    'javascript:alert(1)',
    'javascript:https://project',
    'http://',
  ])('%p is no address', (value) => {
    expect(() => parseStatus({ ...status, SUPABASE_URL: value })).toThrow(
      /^environment variable SUPABASE_URL must be an http or https address$/,
    );
  });

  test.each(['0', '-1', '1.5', '1e3', 'ten', 'NaN', 'Infinity', '1e400', '9007199254740993'])(
    '%p is no whole number above zero',
    (value) => {
      expect(() => parseStatus({ ...status, STATUS_BUDGET_SECONDS: value })).toThrow(
        /^environment variable STATUS_BUDGET_SECONDS must be a whole number above zero$/,
      );
    },
  );

  test.each(['https://project/auth/v1', '"https://project/auth/v1"', '[]', '[""]', '[1]', '{}'])(
    '%p is no array of texts',
    (value) => {
      expect(() => parseStatus({ ...status, SUPABASE_TOKEN_ISSUERS: value })).toThrow(
        /^environment variable SUPABASE_TOKEN_ISSUERS must be a JSON array of texts$/,
      );
    },
  );

  test.each(['1', '3'])('%p is a whole number above zero', (value) => {
    expect(parseStatus({ ...status, STATUS_BUDGET_SECONDS: value }).STATUS_BUDGET_SECONDS).toBe(
      Number(value),
    );
  });

  test('is not repeated in the error', () => {
    const pasted = 'sb_secret_pasted_into_the_wrong_place';
    expect(() => parseStatus({ ...status, SUPABASE_URL: pasted })).not.toThrow(/sb_secret/);
  });
});
