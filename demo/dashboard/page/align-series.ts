import type { SeriesView } from 'cdk-out-local/dashboard-view';

type Values = (number | null)[];

export interface AlignedSeries {
  /** Every moment at which some series has a point, in seconds since the epoch. */
  readonly times: number[];
  /** The values of each series at these moments; null where it has none. */
  readonly values: Values[];
  /** Where each series is drawn: where they are stacked, each stands on those before it. */
  readonly drawn: Values[];
}

/** Brings series with periods of their own onto one axis of time. */
export function alignSeries(series: readonly SeriesView[], isStacked: boolean): AlignedSeries {
  const moments = [...new Set(series.flatMap(({ points }) => points.map(([at]) => at)))].sort(
    (a, b) => a - b,
  );
  const values = series.map(({ points }) => {
    const byTime = new Map(points);
    return moments.map((at) => byTime.get(at) ?? null);
  });
  return {
    times: moments.map((at) => at / 1_000),
    values,
    drawn: isStacked ? stack(values) : values,
  };
}

function stack(values: readonly Values[]): Values[] {
  const heights: number[] = [];
  return values.map((row) => {
    if (row.every((value) => value === null)) return row;
    return row.map((value, index) => {
      const height = (heights[index] ?? 0) + (value ?? 0);
      heights[index] = height;
      return height;
    });
  });
}
