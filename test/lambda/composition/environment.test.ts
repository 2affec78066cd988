import { describe, expect, test } from '@jest/globals';
import { Environment, EnvironmentError } from '../../../lambda/adapters/environment.ts';

describe('a value that is set', () => {
  test('is given as what it is', () => {
    const environment = new Environment({ NAME: 'a text', URL: 'https://project.supabase.co', COUNT: '300' });
    expect(environment.text('NAME')).toBe('a text');
    expect(environment.url('URL').href).toBe('https://project.supabase.co/');
    expect(environment.positiveInteger('COUNT')).toBe(300);
  });
});

describe('a value that is missing', () => {
  test.each(['text', 'url', 'positiveInteger'] as const)('fails by its name when read as %s', (read) => {
    for (const variables of [{}, { SUPABASE_URL: '' }]) {
      const environment = new Environment(variables);
      expect(() => environment[read]('SUPABASE_URL')).toThrow(EnvironmentError);
      expect(() => environment[read]('SUPABASE_URL')).toThrow(
        'environment variable SUPABASE_URL must be set',
      );
    }
  });
});

describe('a value that is malformed', () => {
  test.each(['project.supabase.co', '/path', 'ftp://project', 'javascript:alert(1)'])(
    '%p is no address',
    (value) => {
      expect(() => new Environment({ SUPABASE_URL: value }).url('SUPABASE_URL')).toThrow(
        'environment variable SUPABASE_URL must be an http or https address',
      );
    },
  );

  test.each(['0', '-1', '1.5', 'ten', 'NaN', 'Infinity', '1e400', '9007199254740993'])(
    '%p is no whole number above zero',
    (value) => {
      expect(() => new Environment({ COUNT: value }).positiveInteger('COUNT')).toThrow(
        'environment variable COUNT must be a whole number above zero',
      );
    },
  );

  test('is not repeated in the error', () => {
    const environment = new Environment({ SUPABASE_URL: 'sb_secret_pasted_into_the_wrong_place' });
    expect(() => environment.url('SUPABASE_URL')).not.toThrow(/sb_secret/);
  });
});
