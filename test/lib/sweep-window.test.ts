import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { longestSweepIntervalMinutes, sweepWindowMinutes } from '../../lib/sweep-window.ts';

const tokenLifetimeMinutes = 60;

describe('the window of a sweep', () => {
  test('is 40 minutes for a sweep of 5 minutes every 30 minutes', () => {
    expect(sweepWindowMinutes({ sweepIntervalMinutes: 30, expectedSweepMinutes: 5 })).toBe(40);
  });

  test('lets no token that a sweep passes over expire before the next sweep reaches it', () => {
    fc.assert(
      fc.property(
        generateSweeps(),
        fc.integer({ min: 0, max: tokenLifetimeMinutes }),
        (sweep, minutesLeft) => {
          fc.pre(minutesLeft >= sweepWindowMinutes(sweep));
          const nextSweepEndsInMinutes = sweep.sweepIntervalMinutes + sweep.expectedSweepMinutes;
          expect(minutesLeft).toBeGreaterThan(nextSweepEndsInMinutes);
        },
      ),
    );
  });

  test('never covers a token that has just been stored', () => {
    fc.assert(
      fc.property(generateSweeps(), (sweep) => {
        expect(sweepWindowMinutes(sweep)).toBeLessThan(tokenLifetimeMinutes);
      }),
    );
  });
});

describe('the longest interval between sweeps', () => {
  test('is the last whose interval plus 10 minutes is less than the life of a token', () => {
    expect(longestSweepIntervalMinutes(5)).toBe(49);
  });
});

function generateSweeps() {
  return fc.integer({ min: 5, max: 30 }).chain((expectedSweepMinutes) =>
    fc.record({
      sweepIntervalMinutes: fc.integer({ min: 5, max: longestSweepIntervalMinutes(expectedSweepMinutes) }),
      expectedSweepMinutes: fc.constant(expectedSweepMinutes),
    }),
  );
}
