/** A number with limits, measured against a baseline in the same run on the same machine. */
export interface Figure {
  readonly name: string;
  readonly baseline: string;
  readonly value: number;
  /** Written after the value: '×', or what is counted. */
  readonly unit: string;
  /** Whether more is better, or less. */
  readonly better: 'more' | 'less';
  /** The bench fails when this is missed. */
  readonly atLeast: number;
  readonly aimAt: number;
  /** What was measured on both sides, in absolute numbers. */
  readonly measured: string;
}

/** The result of a measurement: figures, and report lines without limits. */
export interface Findings {
  readonly figures: readonly Figure[];
  readonly report: readonly string[];
}

export function reaches({ value, better }: Figure, bound: number): boolean {
  return better === 'more' ? value >= bound : value <= bound;
}

/** The median; for an even count, the upper of the two middle numbers. */
export function median(values: readonly number[]): number {
  const middle = values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)];
  if (middle === undefined) throw new Error('there is no median of nothing');
  return middle;
}
