/** @param milliseconds NaN: unknown. @returns such as "54 min 3 s", "ran out 2 min ago" */
export function formatDuration(milliseconds: number): string {
  if (Number.isNaN(milliseconds)) return 'unknown';
  if (milliseconds <= 0) return `ran out ${formatAmount(-milliseconds)} ago`;
  return `${formatAmount(milliseconds)} left`;
}

function formatAmount(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1_000);
  if (seconds >= 2 * 86_400) return `${Math.floor(seconds / 86_400)} days`;
  if (seconds >= 2 * 3_600) return `${Math.floor(seconds / 3_600)} h`;
  if (seconds >= 60) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${seconds} s`;
}

/** @param time ISO 8601 */
export function formatDay(time: string): string {
  return new Date(time).toLocaleDateString('en-GB', { day: 'numeric', month: 'long', year: 'numeric' });
}

/** @param time ISO 8601. @returns the time of day, in the reader's time zone */
export function formatClock(time: string): string {
  return new Date(time).toLocaleTimeString('en-GB');
}
