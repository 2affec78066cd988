const DAY_MILLISECONDS = 24 * 60 * 60 * 1_000;

/** @returns such as "54 min 3 s left", "expired 2 min 0 s ago" */
export function formatDuration(milliseconds: number): string {
  return milliseconds <= 0
    ? `expired ${formatAmount(-milliseconds)} ago`
    : `${formatAmount(milliseconds)} left`;
}

function formatAmount(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1_000);
  if (seconds >= 2 * 86_400) return `${Math.floor(seconds / 86_400)} days`;
  if (seconds >= 2 * 3_600) return `${Math.floor(seconds / 3_600)} h`;
  if (seconds >= 60) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${seconds} s`;
}

/** @returns such as "every 30 minutes", "every hour", "every 10 seconds" */
export function formatInterval(seconds: number): string {
  const [size, unit] =
    seconds % 3_600 === 0 ? [3_600, 'hour'] : seconds % 60 === 0 ? [60, 'minute'] : ([1, 'second'] as const);
  return seconds === size ? `every ${unit}` : `every ${seconds / Number(size)} ${unit}s`;
}

/** @param time ISO 8601 */
export function formatDay(time: string | number): string {
  return new Date(time).toLocaleDateString('en-GB', { day: 'numeric', month: 'long', year: 'numeric' });
}

/** @param time ISO 8601. @returns the time of day, in the reader's time zone */
export function formatClock(time: string | number): string {
  return new Date(time).toLocaleTimeString('en-GB');
}

/** @returns the time of day, or the day where it is another one */
export function formatMoment(milliseconds: number, now: number): string {
  return Math.abs(milliseconds - now) < DAY_MILLISECONDS / 2
    ? formatClock(milliseconds)
    : formatDay(milliseconds);
}
