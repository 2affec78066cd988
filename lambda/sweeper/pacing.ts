/** Limits of the concurrent calls of one invocation, except for the first one. */
export const LOWEST_CONCURRENCY = 8;
const HIGHEST_CONCURRENCY = 192;

/** The limit after the first answer, if it is a good one. */
const INITIAL_CONCURRENCY = 16;

/**
 * How many calls may run at once. The first goes alone: if Spotify rejects the client, or asks it to wait, no
 * other call has to fail. Then the limit doubles with every full round of good answers until the first bad one; from then on
 * it rises by one per full round, and halves after a bad answer (slow start, additive increase and multiplicative
 * decrease, like TCP in RFC 5681).
 */
export class Pacing {
  #limit = 1;
  #isStarting = true;
  #goodAnswers = 0;

  /** Calls that may run now. */
  get limit(): number {
    return this.#limit;
  }

  /** Reports the end of a call: whether Spotify answered it properly. */
  report(answeredWell: boolean): void {
    if (!answeredWell) {
      this.#limit = Math.max(LOWEST_CONCURRENCY, Math.floor(this.#limit / 2));
      this.#isStarting = false;
      this.#goodAnswers = 0;
      return;
    }
    if (this.#limit === 1) {
      this.#limit = INITIAL_CONCURRENCY;
      return;
    }
    this.#goodAnswers += 1;
    if (this.#isStarting || this.#goodAnswers >= this.#limit) {
      this.#limit = Math.min(HIGHEST_CONCURRENCY, this.#limit + 1);
      this.#goodAnswers = 0;
    }
  }
}

/** Running tasks, at most as many at once as the pacing allows at the moment. */
export class PacedTasks {
  readonly #pacing: Pacing;
  #underWay = 0;
  #nextEnd = Promise.withResolvers<void>();

  constructor(pacing: Pacing) {
    this.#pacing = pacing;
  }

  /**
   * Waits until there is room and starts a task.
   *
   * @param task must not reject
   */
  async start(task: () => Promise<void>): Promise<void> {
    while (this.#underWay >= this.#pacing.limit) {
      await this.#nextEnd.promise;
    }
    this.#underWay += 1;
    void task().finally(() => {
      this.#underWay -= 1;
      this.#nextEnd.resolve();
      this.#nextEnd = Promise.withResolvers();
    });
  }

  /** Resolves when no task is running. */
  async finish(): Promise<void> {
    while (this.#underWay > 0) {
      await this.#nextEnd.promise;
    }
  }
}
