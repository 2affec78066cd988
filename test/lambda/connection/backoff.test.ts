import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { computeBackoffSeconds } from '../../../lambda/connection/backoff.ts';

const failures = () => fc.integer({ min: 0, max: 2_000 });
const random = () => fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

describe('the rest after a failed refresh', () => {
  test('is 15 to 30 s at first', () => {
    expect(computeBackoffSeconds(0, 0)).toBe(15);
    expect(computeBackoffSeconds(0, 0.999)).toBeCloseTo(30, 0);
  });

  test('never is shorter than 15 s nor longer than 30 min', () => {
    fc.assert(
      fc.property(failures(), random(), (count, chance) => {
        expect(computeBackoffSeconds(count, chance)).toBeGreaterThanOrEqual(15);
        expect(computeBackoffSeconds(count, chance)).toBeLessThanOrEqual(1_800);
      }),
    );
  });

  test('doubles with each failure until it is half an hour', () => {
    fc.assert(
      fc.property(failures(), random(), (count, chance) => {
        const longest = 1_800 * (0.5 + chance / 2);
        expect(computeBackoffSeconds(count + 1, chance)).toBeCloseTo(
          Math.min(longest, 2 * computeBackoffSeconds(count, chance)),
          6,
        );
      }),
    );
  });

  test('differs between connections that failed together', () => {
    fc.assert(
      fc.property(failures(), random(), random(), (count, one, other) => {
        fc.pre(Math.abs(one - other) > 0.001);
        expect(computeBackoffSeconds(count, one)).not.toBe(computeBackoffSeconds(count, other));
      }),
    );
  });
});
