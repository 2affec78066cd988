import { setTimeout } from 'node:timers/promises';
import type { Clock } from '../connection/clock.ts';

/** The machine's clock. */
export const systemClock: Clock = {
  monotonicMilliseconds: () => performance.now(),
  sleep: (milliseconds) => setTimeout(milliseconds),
};
