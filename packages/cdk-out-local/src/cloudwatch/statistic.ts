/** The implemented statistics: the five simple ones and percentiles, such as `p95`. */
export const STATISTIC = /^(SampleCount|Sum|Average|Minimum|Maximum|p\d{1,2}(\.\d+)?)$/;

/**
 * The statistic of a period's values.
 *
 * @param statistic matches `STATISTIC`; a percentile is the value that this percentage of the values do not exceed
 * @returns undefined if there are no values: a missing data point
 * @see https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html
 */
export function computeStatistic(statistic: string, values: readonly number[]): number | undefined {
  if (values.length === 0) return undefined;
  const sum = values.reduce((total, value) => total + value, 0);
  switch (statistic) {
    case 'SampleCount':
      return values.length;
    case 'Sum':
      return sum;
    case 'Average':
      return sum / values.length;
    case 'Minimum':
      return Math.min(...values);
    case 'Maximum':
      return Math.max(...values);
    default: {
      const rank = Math.ceil((Number(statistic.slice(1)) / 100) * values.length);
      return values.toSorted((a, b) => a - b)[Math.max(rank, 1) - 1];
    }
  }
}
