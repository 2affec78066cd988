import type { Log } from '../../lambda/connection/log.ts';
import type { RescueQueue } from '../../lambda/connection/rescue-queue.ts';
import { sweep } from '../../lambda/sweeper/sweep.ts';
import { sweepWindowMinutes } from '../../lib/sweep-window.ts';
import type { Bench } from '../bench.ts';
import type { Findings } from '../figure.ts';
import { SimulatedDay } from '../simulated-day.ts';

const MINUTE = 60_000;
const USERS = 100_000;
/** Enough to find out how often tokens are refreshed. */
const USERS_PER_INTERVAL = 5_000;
const LATEST_START_MINUTES = 2;
const OBVIOUS_WINDOW_MINUTES = 5;

/** A simulated day of the real sweep, and of the obvious program that refreshes what expires within 5 minutes. */
export async function measureExpiredMinutes(bench: Bench): Promise<Findings> {
  bench.progress(`24 h of sweeps every 30 minutes, ${USERS} users`);
  const day = await sweepForADay(USERS, 30);
  bench.progress('24 h of the obvious program');
  const obvious = refreshForADay(USERS, 30);

  const report = ['Refreshes per connection and hour, simulated:'];
  for (const interval of [30, 15, 5]) {
    const { calls, connectedMinutes, expiredMinutes } = await sweepForADay(USERS_PER_INTERVAL, interval);
    report.push(
      `  a sweep every ${interval} minutes: ${((calls * 60) / connectedMinutes).toFixed(2)}, ` +
        `${expiredMinutes.toFixed(0)} minutes expired`,
    );
  }
  const perUserAndDay = (obvious.expiredMinutes * 24 * 60) / obvious.connectedMinutes;
  return {
    figures: [
      {
        name: 'minutes any token spent expired, 24 h, 100,000 users',
        baseline: 'the obvious program with a 5-minute window',
        value: day.expiredMinutes,
        unit: '',
        better: 'less',
        atLeast: 0,
        aimAt: 0,
        measured: `${day.expiredMinutes.toFixed(0)} in ${day.calls} refreshes, against ${obvious.expiredMinutes.toFixed(0)} (${perUserAndDay.toFixed(0)} a user and day)`,
      },
    ],
    report,
  };
}

async function sweepForADay(users: number, sweepIntervalMinutes: number): Promise<SimulatedDay> {
  const day = new SimulatedDay(users, Math.random);
  const windowSeconds = sweepWindowMinutes({ sweepIntervalMinutes, expectedSweepMinutes: 5 }) * 60;
  for (const startsAt of sweepStarts(day, sweepIntervalMinutes)) {
    day.waitUntil(startsAt);
    const part = { role: 'first' as const, scheduledAt: null, ageSeconds: 0, link: 0 };
    const { status } = await sweep(part, startsAt + 15 * MINUTE, {
      store: day.store,
      tokenEndpoint: day.tokenEndpoint,
      clock: day.clock,
      rescueQueue: EMPTY_RESCUE_QUEUE,
      sweepQueue: { send: async () => {} },
      log: SILENT_LOG,
      metrics: { add() {} },
      random: Math.random,
      windowSeconds,
      batchSize: 500,
      callsPerSecond: null,
      connectionsPerInvocation: users,
      intervalSeconds: sweepIntervalMinutes * 60,
    });
    if (status !== 'completed') throw new Error(`a simulated sweep ended ${status}`);
  }
  day.end();
  return day;
}

function refreshForADay(users: number, intervalMinutes: number): SimulatedDay {
  const day = new SimulatedDay(users, Math.random);
  for (const startsAt of sweepStarts(day, intervalMinutes)) {
    day.waitUntil(startsAt);
    day.refreshOneByOne(OBVIOUS_WINDOW_MINUTES * MINUTE);
  }
  day.end();
  return day;
}

/** Every interval, up to two minutes late. */
function* sweepStarts(day: SimulatedDay, intervalMinutes: number): Generator<number> {
  for (let due = 0; due < day.lengthMilliseconds; due += intervalMinutes * MINUTE) {
    yield due + Math.random() * LATEST_START_MINUTES * MINUTE;
  }
}

const SILENT_LOG: Log = { writesDebug: false, debug() {}, info() {}, warn() {}, error() {} };

const EMPTY_RESCUE_QUEUE: RescueQueue = {
  put: () => Promise.reject(new Error('nothing is rescued in this simulation')),
  receive: async () => [],
  remove: async () => {},
};
