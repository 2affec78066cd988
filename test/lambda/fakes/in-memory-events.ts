import type {
  EventBus,
  ReauthorizationEvent,
  ReauthorizationEventStore,
  SentEvents,
} from '../../../lambda/connection/reauthorization-event.ts';

/** Events that are pending until they are recorded as sent; the store can be told to fail. */
export class InMemoryEventStore implements ReauthorizationEventStore {
  readonly events: ReauthorizationEvent[] = [];
  /** Runs before each call, in the test's hands. */
  beforeEach: () => void = () => {};

  /** Adds so many. */
  add(count: number): void {
    for (let index = 0; index < count; index += 1) {
      this.events.push({
        kind: 'required',
        id: `event-${this.events.length}`,
        userId: `user-${this.events.length}`,
        since: '2026-11-24T12:00:00Z',
        reason: 'grant_revoked',
      });
    }
  }

  async pending(batchSize: number): Promise<readonly ReauthorizationEvent[]> {
    this.beforeEach();
    return this.events.slice(0, batchSize);
  }

  async recordSent(sent: readonly ReauthorizationEvent[]): Promise<number> {
    this.beforeEach();
    const ids = new Set(sent.map(({ id }) => id));
    const left = this.events.filter(({ id }) => !ids.has(id));
    const recorded = this.events.length - left.length;
    this.events.splice(0, this.events.length, ...left);
    return recorded;
  }
}

/** A bus that keeps what it takes; takes everything, unless told otherwise. */
export class InMemoryEventBus implements EventBus {
  readonly taken: ReauthorizationEvent[] = [];
  takes: (event: ReauthorizationEvent) => boolean = () => true;

  async send(events: readonly ReauthorizationEvent[]): Promise<SentEvents> {
    const taken = events.filter((event) => this.takes(event));
    this.taken.push(...taken);
    return { taken, failure: taken.length < events.length ? 'InternalFailure' : null };
  }
}
