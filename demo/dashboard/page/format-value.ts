const FORMAT = new Intl.NumberFormat('en', { maximumSignificantDigits: 4, notation: 'compact' });

/** A value of a metric, briefly; `--` where there is none, as CloudWatch writes it. */
export function formatValue(value: number | null | undefined): string {
  return value === undefined || value === null ? '--' : FORMAT.format(value);
}
