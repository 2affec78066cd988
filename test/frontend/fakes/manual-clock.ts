import type { Clock } from '../../../frontend/src/clock.ts';

type Timer = { readonly milliseconds: number; readonly dueAt: number; readonly callback: () => void };

/** Time that passes when the test says so, and chance that is always the same. */
export class ManualClock implements Clock {
  /** What `random` answers. */
  chance = 0;
  #now = Date.parse('2026-11-24T12:00:00.000Z');
  #timers: Timer[] = [];
  #onTimer = () => {};

  now(): number {
    return this.#now;
  }

  random(): number {
    return this.chance;
  }

  after(milliseconds: number, callback: () => void): () => void {
    const timer = { milliseconds, dueAt: this.#now + milliseconds, callback };
    this.#timers.push(timer);
    this.#onTimer();
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** The delays that timers were set to which have not gone off yet. */
  get pending(): number[] {
    return this.#timers.map(({ milliseconds }) => milliseconds);
  }

  /** Resolves once there is a timer that was set to that delay. */
  async timer(milliseconds: number): Promise<void> {
    while (!this.pending.includes(milliseconds)) {
      await new Promise<void>((resolve) => {
        this.#onTimer = resolve;
      });
    }
  }

  /** Lets time pass, and timers go off, each at its moment. */
  advance(milliseconds: number): void {
    const end = this.#now + milliseconds;
    for (;;) {
      const due = this.#timers.filter(({ dueAt }) => dueAt <= end);
      const next = due.reduce<Timer | null>(
        (first, timer) => (first === null || timer.dueAt < first.dueAt ? timer : first),
        null,
      );
      if (next === null) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.#now = next.dueAt;
      next.callback();
    }
    this.#now = end;
  }

  /** The moment that many milliseconds from now, as the API writes it. */
  instantIn(milliseconds: number): string {
    return new Date(this.#now + milliseconds).toISOString();
  }
}
