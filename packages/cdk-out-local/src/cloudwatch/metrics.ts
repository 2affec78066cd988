/** What tells a metric from all others: its dimensions are part of its name, all of them. */
export interface MetricId {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, string>>;
}

export interface Datapoint extends MetricId {
  readonly value: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** Everything that was measured since the machine started. */
export class Metrics {
  readonly #datapoints = new Map<string, { readonly value: number; at: number }[]>();

  put({ value, at, ...metric }: Datapoint): void {
    const key = keyOf(metric);
    const known = this.#datapoints.get(key) ?? [];
    known.push({ value, at });
    this.#datapoints.set(key, known);
  }

  /** Moves all that was measured into the past, as if so much time had gone by. */
  letMinutesPass(minutes: number): void {
    for (const known of this.#datapoints.values()) {
      for (const datapoint of known) datapoint.at -= minutes * 60_000;
    }
  }

  /** The values of a metric from one moment on and before another, both in milliseconds since the epoch. */
  valuesOf(metric: MetricId, from: number, before: number): number[] {
    const known = this.#datapoints.get(keyOf(metric)) ?? [];
    return known.filter(({ at }) => at >= from && at < before).map(({ value }) => value);
  }
}

function keyOf({ namespace, name, dimensions }: MetricId): string {
  return JSON.stringify([namespace, name, Object.entries(dimensions).sort()]);
}
