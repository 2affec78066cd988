/** Bounds of how many calls to Spotify one invocation has under way, the first one aside. */
export const LOWEST_CONCURRENCY = 8;
const HIGHEST_CONCURRENCY = 192;

/** After the first answer, if it is a good one. */
const INITIAL_CONCURRENCY = 16;

/**
 * How many calls may be under way at once. The first goes alone: where Spotify refuses the client, or asks it to wait, no
 * other has to. Then doubles with every full round of good answers until the first bad one; from then on one more for
 * every full round, half after a bad answer (slow start, additive increase and multiplicative decrease, as in RFC 5681
 * for TCP).
 */
export class Pacing {
  #limit = 1;
  #isStarting = true;
  #goodAnswers = 0;

  /** Calls that may be under way now. */
  get limit(): number {
    return this.#limit;
  }

  /** Reports how a call ended: whether Spotify answered it properly. */
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

/** Tasks that are under way, as many at once as the pacing allows at that moment. */
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

  /** Resolves when none is under way. */
  async finish(): Promise<void> {
    while (this.#underWay > 0) {
      await this.#nextEnd.promise;
    }
  }
}
