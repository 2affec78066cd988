import type { TokenAnswer } from '../../../lambda/connection/token-endpoint.ts';
import type { SweepPart } from '../../../lambda/sweeper/fan-out.ts';
import { type RefreshedDue, refreshDue } from '../../../lambda/sweeper/refresh-due.ts';
import { type SweepDependencies, type SweepResult, sweep } from '../../../lambda/sweeper/sweep.ts';
import { FakeTokenEndpoint, refreshedAnswer } from './fake-token-endpoint.ts';
import { InMemoryConnectionStore } from './in-memory-connection-store.ts';
import { InMemoryRescueQueue } from './in-memory-rescue-queue.ts';
import { InMemorySweepQueue } from './in-memory-sweep-queue.ts';
import { RecordingLog } from './recording-log.ts';
import { RecordingMetrics } from './recording-metrics.ts';
import { VirtualClock } from './virtual-clock.ts';

export const WINDOW_SECONDS = 40 * 60;
export const SCHEDULED_AT = '2026-11-24T12:30:00Z';
const INVOCATION_MILLISECONDS = 15 * 60_000;

/** How one invocation differs from the first of a scheduled sweep, which has a quarter of an hour. */
export type Invocation = Partial<SweepDependencies> & {
  readonly part?: Partial<SweepPart>;
  /** Time until the invocation ends. */
  readonly milliseconds?: number;
};

/** All that a sweep works with, in memory and in virtual time. Spotify refreshes what it is asked to, until a test says otherwise. */
export class SweepHarness {
  readonly clock = new VirtualClock();
  readonly store = new InMemoryConnectionStore(this.clock);
  readonly rescueQueue = new InMemoryRescueQueue();
  readonly sweepQueue = new InMemorySweepQueue();
  readonly log = new RecordingLog();
  readonly metrics = new RecordingMetrics();
  /** What Spotify answers; throws where the client's credentials cannot be read. */
  answer: (refreshToken: string) => TokenAnswer = () => refreshedAnswer();
  latencyMilliseconds: () => number = () => 100;
  readonly spotify = new FakeTokenEndpoint(
    this.clock,
    (refreshToken) => this.answer(refreshToken),
    () => this.latencyMilliseconds(),
  );
  readonly dependencies: SweepDependencies = {
    store: this.store,
    rescueQueue: this.rescueQueue,
    sweepQueue: this.sweepQueue,
    tokenEndpoint: this.spotify,
    clock: this.clock,
    random: Math.random,
    log: this.log,
    metrics: this.metrics,
    windowSeconds: WINDOW_SECONDS,
    batchSize: 500,
    callsPerSecond: null,
    connectionsPerInvocation: 100_000,
    intervalSeconds: 1_800,
  };
  readonly #startedAt = this.clock.monotonicMilliseconds();

  /** Runs one invocation of a sweep. */
  sweep(invocation: Invocation = {}): Promise<SweepResult> {
    const { part, deadline, dependencies } = this.prepare(invocation);
    return sweep(part, deadline, dependencies);
  }

  /** Runs that part of an invocation alone which refreshes what is due. */
  refreshDue(invocation: Invocation = {}): Promise<RefreshedDue> {
    const { part, deadline, dependencies } = this.prepare(invocation);
    const beganAt = this.clock.monotonicMilliseconds() - part.ageSeconds * 1_000;
    return refreshDue(part, beganAt, deadline, dependencies);
  }

  /** What an invocation that starts now is given. */
  prepare({ part, milliseconds = INVOCATION_MILLISECONDS, ...dependencies }: Invocation = {}) {
    return {
      part: { role: 'first', scheduledAt: SCHEDULED_AT, ageSeconds: 0, link: 0, ...part } satisfies SweepPart,
      deadline: this.clock.monotonicMilliseconds() + milliseconds,
      dependencies: { ...this.dependencies, ...dependencies },
    };
  }

  /** Connections that a sweep would still have to refresh. */
  countDue(): number {
    return this.store.model.countDue(WINDOW_SECONDS);
  }

  /** Milliseconds since the test began. */
  elapsedMilliseconds(): number {
    return this.clock.monotonicMilliseconds() - this.#startedAt;
  }
}
