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
  /** One of CloudWatch's, such as `Count`. @default - none */
  readonly unit?: string | undefined;
}

/** A value of a metric, and when it was measured. */
type Measurement = Pick<Datapoint, 'value' | 'at' | 'unit'>;

/** Everything that was measured since the machine started. */
export class Metrics {
  readonly #datapoints = new Map<string, Measurement[]>();

  put({ value, at, unit, ...metric }: Datapoint): void {
    const key = keyOf(metric);
    const known = this.#datapoints.get(key) ?? [];
    known.push({ value, at, unit });
    this.#datapoints.set(key, known);
  }

  /** Moves all that was measured into the past, as if so much time had gone by. */
  letMinutesPass(minutes: number): void {
    for (const [key, known] of this.#datapoints) {
      this.#datapoints.set(
        key,
        known.map((datapoint) => ({ ...datapoint, at: datapoint.at - minutes * 60_000 })),
      );
    }
  }

  /** What was measured from one moment on and before another, both in milliseconds since the epoch. */
  datapointsOf(metric: MetricId, from: number, before: number): readonly Measurement[] {
    const known = this.#datapoints.get(keyOf(metric)) ?? [];
    return known.filter(({ at }) => at >= from && at < before);
  }

  /** The values of that. */
  valuesOf(metric: MetricId, from: number, before: number): number[] {
    return this.datapointsOf(metric, from, before).map(({ value }) => value);
  }
}

function keyOf({ namespace, name, dimensions }: MetricId): string {
  return JSON.stringify([namespace, name, Object.entries(dimensions).sort()]);
}
