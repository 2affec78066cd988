import { describe, expect, test } from '@jest/globals';
import { isLogged } from '../src/log-level.ts';

describe('with the format JSON, a line', () => {
  test.each([
    ['of the level', '{"level":"WARN"}', true],
    ['above it', '{"level":"error"}', true],
    ['below it', '{"level":"INFO"}', false],
    ['without a level, which counts as INFO', '{"_aws":{"CloudWatchMetrics":[]}}', false],
    ['of a level that is none', '{"level":"loud"}', false],
    ['that is no object', 'Segmentation fault', true],
  ])('%s', (_name, line, expected) => {
    expect(isLogged(line, { LogFormat: 'JSON', ApplicationLogLevel: 'WARN' })).toBe(expected);
  });

  test('is logged from INFO up where no level is configured', () => {
    expect(isLogged('{"level":"DEBUG"}', { LogFormat: 'JSON' })).toBe(false);
    expect(isLogged('{}', { LogFormat: 'JSON' })).toBe(true);
  });
});

test('with the format Text every line is logged', () => {
  expect(isLogged('{"level":"DEBUG"}', { LogFormat: 'Text' })).toBe(true);
});
