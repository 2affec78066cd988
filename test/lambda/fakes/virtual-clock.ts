import type { Clock } from '../../../lambda/connection/clock.ts';

type Sleeper = { readonly wakesAt: number; readonly wake: () => void };

/**
 * Virtual time: it stands still while anything runs, and jumps to the next sleeper's moment once nothing does. Works
 * for code that waits for nothing but this clock and promises.
 */
export class VirtualClock implements Clock {
  /** How much longer than asked for each sleep lasts, in milliseconds: a process that is stopped now and then. */
  oversleepMilliseconds: () => number = () => 0;
  #now = 1_000;
  #sleepers: Sleeper[] = [];

  monotonicMilliseconds(): number {
    return this.#now;
  }

  sleep(milliseconds: number): Promise<void> {
    const wakesAt = this.#now + Math.max(0, milliseconds) + this.oversleepMilliseconds();
    return new Promise((wake) => {
      this.#sleepers.push({ wakesAt, wake });
      if (this.#sleepers.length === 1) {
        this.#wakeNextWhenIdle();
      }
    });
  }

  /** Lets time pass at once, while nothing sleeps. */
  advance(milliseconds: number): void {
    this.#now += milliseconds;
  }

  #wakeNextWhenIdle(): void {
    setImmediate(() => {
      const next = this.#sleepers.reduce((first, other) => (other.wakesAt < first.wakesAt ? other : first));
      this.#sleepers = this.#sleepers.filter((sleeper) => sleeper !== next);
      this.#now = Math.max(this.#now, next.wakesAt);
      if (this.#sleepers.length > 0) {
        this.#wakeNextWhenIdle();
      }
      next.wake();
    });
  }
}
