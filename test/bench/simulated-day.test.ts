import { expect, test } from '@jest/globals';
import { SimulatedDay } from '../../bench/simulated-day.ts';

const MINUTE = 60_000;

/** One user who connects as the day begins. */
function dayOfOneUser(): SimulatedDay {
  return new SimulatedDay(1, () => 0);
}

test('a token that is refreshed before it expires costs no expired minute', () => {
  const day = dayOfOneUser();
  day.waitUntil(56 * MINUTE);
  day.refreshOneByOne(5 * MINUTE);
  expect([day.calls, day.expiredMinutes]).toEqual([1, 0]);
});

test('a token with more than the window left is passed over, and its expired minutes are counted later', () => {
  const day = dayOfOneUser();
  day.waitUntil(40 * MINUTE);
  day.refreshOneByOne(5 * MINUTE);
  expect(day.calls).toBe(0);
  day.waitUntil(70 * MINUTE);
  day.refreshOneByOne(5 * MINUTE);
  expect(day.expiredMinutes).toBeCloseTo(10, 3);
});

test('the end of the day counts what is expired by then', () => {
  const day = dayOfOneUser();
  day.end();
  expect([day.connectedMinutes, day.expiredMinutes]).toEqual([24 * 60, 23 * 60]);
});
