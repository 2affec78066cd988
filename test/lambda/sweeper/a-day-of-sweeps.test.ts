import { describe, expect, test } from '@jest/globals';
import type { SweepResult } from '../../../lambda/sweeper/sweep.ts';
import { sweepWindowMinutes } from '../../../lib/sweep-window.ts';
import { SweepHarness } from '../fakes/sweep-harness.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const SWEEP_INTERVAL = 30 * MINUTE;
const LATEST_START = 2 * MINUTE;
const USERS = 150;

const windowMinutes = sweepWindowMinutes({ sweepIntervalMinutes: 30, expectedSweepMinutes: 5 });

describe('over a day of sweeps every 30 minutes, users connecting at any time', () => {
  test('no token is ever found expired with the window of the stack', async () => {
    const { longestExpiredSeconds, results } = await live(windowMinutes * 60);
    expect(longestExpiredSeconds).toBe(0);
    expect(results).toHaveLength(48);
    expect(results.every(({ status }) => status === 'completed')).toBe(true);
    expect(results.reduce((sum, result) => sum + result.refreshed, 0)).toBeGreaterThan(USERS * 24);
  });

  test('no user is refreshed more often than their token needs', async () => {
    const { calls } = await live(windowMinutes * 60);
    expect(calls).toBeLessThanOrEqual(USERS * 48);
  });

  test('tokens are found expired with a window of 5 minutes: this test can fail', async () => {
    const { longestExpiredSeconds } = await live(5 * 60);
    expect(longestExpiredSeconds).toBeGreaterThan(15 * 60);
  });
});

/** Runs the real sweep for a day of virtual time; after every minute somebody looks for expired tokens. */
async function live(windowSeconds: number) {
  const harness = new SweepHarness();
  const { clock, store, spotify } = harness;
  harness.latencyMilliseconds = () => 50 + 400 * Math.random();
  const startedAt = clock.monotonicMilliseconds();
  const results: SweepResult[] = [];
  let longestExpiredSeconds = 0;

  await Promise.all([...connectUsers(), sweepEveryHalfHour(), lookEveryMinute()]);
  return { results, longestExpiredSeconds, calls: spotify.calls.length };

  function connectUsers(): Promise<void>[] {
    return Array.from({ length: USERS }, async (_, index) => {
      await clock.sleep((index < USERS / 2 ? 0.04 : 0.9) * DAY * Math.random());
      store.connect(`user-${index}`, 3_600);
    });
  }

  async function sweepEveryHalfHour(): Promise<void> {
    for (let due = startedAt; due < startedAt + DAY; due += SWEEP_INTERVAL) {
      await clock.sleep(due + LATEST_START * Math.random() - clock.monotonicMilliseconds());
      results.push(await harness.sweep({ windowSeconds }));
    }
  }

  async function lookEveryMinute(): Promise<void> {
    while (clock.monotonicMilliseconds() < startedAt + DAY) {
      await clock.sleep(MINUTE);
      for (const { userId } of store.connections()) {
        longestExpiredSeconds = Math.max(longestExpiredSeconds, -(store.secondsLeft(userId) ?? 0));
      }
    }
  }
}
