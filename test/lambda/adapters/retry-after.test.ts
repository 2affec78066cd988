import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { readRetryAfterSeconds } from '../../../lambda/adapters/retry-after.ts';

const DATE = 'Tue, 24 Nov 2026 12:00:00 GMT';
const DAY = 86_400;

describe('how long a 429 asks us to wait', () => {
  test.each([
    ['in seconds', '17', 17],
    ['with spaces around', ' 17 ', 17],
    ['with a fraction', '1.5', 1.5],
    ['hours', '36000', 36_000],
    ['not at all', '0', 1],
    ['absurdly long', '99999999999999999999', DAY],
    ['until a date', 'Tue, 24 Nov 2026 12:02:00 GMT', 120],
    ['until a date that is over', 'Tue, 24 Nov 2026 11:00:00 GMT', 1],
    ['until a date in years', 'Tue, 24 Nov 2099 12:00:00 GMT', DAY],
    ['a negative time', '-5', 1],
    ['nothing', undefined, 30],
    ['an empty text', '', 30],
    ['something else', 'soon', 30],
    ['a list', '30, 60', 30],
    ['infinity', 'Infinity', 30],
  ])('%s', (_name, value, seconds) => {
    expect(readRetryAfterSeconds(headers(value))).toBe(seconds);
  });

  test('a date says nothing without the date of the answer, whatever this machine thinks', () => {
    expect(readRetryAfterSeconds(headers('Tue, 24 Nov 2026 12:02:00 GMT', null))).toBe(30);
  });

  test('is between 1 s and 24 h, whatever the header says', () => {
    fc.assert(
      fc.property(fc.oneof(printable(), fc.double().map(String), fc.date().map(String)), (value) => {
        const seconds = readRetryAfterSeconds(headers(value));
        expect(seconds).toBeGreaterThanOrEqual(1);
        expect(seconds).toBeLessThanOrEqual(DAY);
      }),
    );
  });
});

function headers(retryAfter: string | undefined, date: string | null = DATE): Headers {
  return new Headers({
    ...(retryAfter !== undefined && { 'retry-after': retryAfter }),
    ...(date !== null && { date }),
  });
}

function printable() {
  return fc.string({ unit: fc.integer({ min: 32, max: 126 }).map((code) => String.fromCharCode(code)) });
}
