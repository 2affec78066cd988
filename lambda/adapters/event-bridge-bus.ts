import * as v from 'valibot';
import type { EventBus, ReauthorizationEvent, SentEvents } from '../connection/reauthorization-event.ts';
import type { AwsCaller } from './aws-service.ts';
import { getErrorName } from './error-name.ts';

/** EventBridge's limit per call. */
const LARGEST_BATCH = 10;

/** Concurrent calls: they send a day's events of a million users in seconds. */
const CONCURRENCY = 8;

const SOURCE = 'bondhu.spotify-auth';

/** See `docs/events.md`. Raised when a consumer of the current version would misunderstand the next one. */
const EVENT_VERSION = '1';

/** In the order of the events; each has one or the other. */
const PutEntries = v.object({
  Entries: v.array(v.object({ EventId: v.nullish(v.string()), ErrorCode: v.nullish(v.string()) })),
});

/** EventBridge; the events are described in `docs/events.md`. */
export class EventBridgeBus implements EventBus {
  readonly #eventBridge: AwsCaller;
  readonly #eventBus: string;
  readonly #stackName: string;

  /** @param eventBus its name or ARN */
  constructor(eventBridge: AwsCaller, eventBus: string, stackName: string) {
    this.#eventBridge = eventBridge;
    this.#eventBus = eventBus;
    this.#stackName = stackName;
  }

  async send(events: readonly ReauthorizationEvent[]): Promise<SentEvents> {
    if (await this.#isMissing()) {
      return { taken: [], failure: `there is no bus ${this.#eventBus}` };
    }
    const taken: ReauthorizationEvent[] = [];
    const stretch = LARGEST_BATCH * CONCURRENCY;
    for (let start = 0; start < events.length; start += stretch) {
      const sent = await Promise.all(
        splitIntoBatches(events.slice(start, start + stretch)).map((batch) => this.#sendBatch(batch)),
      );
      taken.push(...sent.flatMap((batch) => batch.taken));
      const failure = sent.find((batch) => batch.failure !== null)?.failure ?? null;
      if (failure !== null) {
        return { taken, failure };
      }
    }
    return { taken, failure: null };
  }

  /** EventBridge silently drops events for a bus that does not exist. The default bus always exists. */
  async #isMissing(): Promise<boolean> {
    if (this.#eventBus === 'default') {
      return false;
    }
    return this.#eventBridge.call('DescribeEventBus', { Name: this.#eventBus }, v.unknown()).then(
      () => false,
      // Any other error, such as for a bus of another account that we may only send to: sending will show.
      (error: unknown) => error instanceof Error && error.name === 'ResourceNotFoundException',
    );
  }

  async #sendBatch(events: readonly ReauthorizationEvent[]): Promise<SentEvents> {
    const input = {
      Entries: events.map((event) => ({
        EventBusName: this.#eventBus,
        Source: SOURCE,
        DetailType: DETAIL_TYPES[event.kind],
        Detail: JSON.stringify(toDetail(event, this.#stackName)),
      })),
    };
    try {
      const { Entries } = await this.#eventBridge.call('PutEvents', input, PutEntries);
      return {
        taken: events.filter((_, index) => (Entries[index]?.EventId ?? null) !== null),
        failure: Entries.find(({ ErrorCode }) => (ErrorCode ?? null) !== null)?.ErrorCode ?? null,
      };
    } catch (error) {
      return { taken: [], failure: getErrorName(error) };
    }
  }
}

const DETAIL_TYPES = {
  required: 'SpotifyReauthorizationRequired',
  due: 'SpotifyReauthorizationDue',
} as const satisfies Record<ReauthorizationEvent['kind'], string>;

function toDetail(event: ReauthorizationEvent, stack: string) {
  const common = { version: EVENT_VERSION, id: event.id, stack, user_id: event.userId };
  return event.kind === 'required'
    ? { ...common, since: toInstant(event.since), reason: event.reason }
    : {
        ...common,
        days: event.days,
        connected_at: toInstant(event.connectedAt),
        reauthorize_by: toInstant(event.reauthorizeBy),
      };
}

/** ISO 8601 in UTC, like the times of the status call. */
function toInstant(databaseTime: string): string {
  return new Date(databaseTime).toISOString();
}

function splitIntoBatches(events: readonly ReauthorizationEvent[]): ReauthorizationEvent[][] {
  return Array.from({ length: Math.ceil(events.length / LARGEST_BATCH) }, (_, index) =>
    events.slice(index * LARGEST_BATCH, (index + 1) * LARGEST_BATCH),
  );
}
