/** Bounds of how many calls to Spotify one sweep has under way. */
export const LOWEST_CONCURRENCY = 8;
const INITIAL_CONCURRENCY = 16;
const HIGHEST_CONCURRENCY = 128;

/**
 * How many calls may be under way at once: one more for every full round of good answers, half after a bad one
 * (additive increase, multiplicative decrease; RFC 5681 does the same for TCP).
 */
export class Pacing {
  #limit = INITIAL_CONCURRENCY;
  #goodAnswers = 0;

  /** Calls that may be under way now. */
  get limit(): number {
    return this.#limit;
  }

  /** Reports how a call ended: whether Spotify answered it properly. */
  report(answeredWell: boolean): void {
    if (!answeredWell) {
      this.#limit = Math.max(LOWEST_CONCURRENCY, Math.floor(this.#limit / 2));
      this.#goodAnswers = 0;
      return;
    }
    this.#goodAnswers += 1;
    if (this.#goodAnswers >= this.#limit) {
      this.#limit = Math.min(HIGHEST_CONCURRENCY, this.#limit + 1);
      this.#goodAnswers = 0;
    }
  }
}

/**
 * Runs one task after another for each item, as many at once as the pacing allows at that moment. A task must not
 * reject.
 */
export async function runPaced<Item>(
  items: readonly Item[],
  pacing: Pacing,
  task: (item: Item) => Promise<void>,
): Promise<void> {
  const queue = items.values();
  const underWay = new Set<Promise<void>>();
  for (const item of queue) {
    while (underWay.size >= pacing.limit) {
      await Promise.race(underWay);
    }
    const run: Promise<void> = task(item).finally(() => underWay.delete(run));
    underWay.add(run);
  }
  await Promise.all(underWay);
}
