import { expect, test } from '@jest/globals';
import { readRetryAfterSeconds } from '../../frontend/src/retry-after.ts';

const NOW = Date.parse('2026-11-24T12:00:00.000Z');

test.each<[string | null, number]>([
  ['0', 0],
  ['7', 7],
  [' 7 ', 7],
  ['3600', 3_600],
  ['86400', 3_600],
  ['-5', 0],
  ['Tue, 24 Nov 2026 12:00:30 GMT', 30],
  ['Tue, 24 Nov 2026 11:00:00 GMT', 0],
  ['Wed, 25 Nov 2026 12:00:00 GMT', 3_600],
  ['soon', 0],
  ['', 0],
  [null, 0],
])('Retry-After %p asks for %p s', (header, seconds) => {
  expect(readRetryAfterSeconds(header, NOW)).toBe(seconds);
});
