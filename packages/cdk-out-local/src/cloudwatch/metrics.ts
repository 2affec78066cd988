/** The identity of a metric: all dimensions are part of it. */
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

/** A value of a metric, with its time. */
type Measurement = Pick<Datapoint, 'value' | 'at' | 'unit'>;

/** All data since the machine started. */
export class Metrics {
  readonly #datapoints = new Map<string, Measurement[]>();

  put({ value, at, unit, ...metric }: Datapoint): void {
    const key = keyOf(metric);
    const known = this.#datapoints.get(key) ?? [];
    known.push({ value, at, unit });
    this.#datapoints.set(key, known);
  }

  /** Moves all data into the past, as if this much time had passed. */
  letMinutesPass(minutes: number): void {
    for (const [key, known] of this.#datapoints) {
      this.#datapoints.set(
        key,
        known.map((datapoint) => ({ ...datapoint, at: datapoint.at - minutes * 60_000 })),
      );
    }
  }

  /** The data points from one time on and before another, both in milliseconds since the epoch. */
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
