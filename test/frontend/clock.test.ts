import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { browserClock } from '../../frontend/src/clock.ts';

beforeEach(() => void jest.useFakeTimers({ now: 1_000 }));
afterEach(() => void jest.useRealTimers());

test("the browser's time is that of the system", () => {
  jest.advanceTimersByTime(500);
  expect(browserClock.now()).toBe(1_500);
});

test('a timer goes off once, after its time', () => {
  const callback = jest.fn();
  browserClock.after(100, callback);

  jest.advanceTimersByTime(99);
  expect(callback).not.toHaveBeenCalled();
  jest.advanceTimersByTime(1_000);
  expect(callback).toHaveBeenCalledTimes(1);
});

test('a timer that is cancelled does not go off', () => {
  const callback = jest.fn();
  const cancel = browserClock.after(100, callback);
  cancel();

  jest.advanceTimersByTime(1_000);
  expect(callback).not.toHaveBeenCalled();
});
