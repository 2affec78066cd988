import { styleText } from 'node:util';
import type { LogLine } from '../demo/live-view-events.ts';

const COLOURS = { INFO: 'green', WARN: 'yellow', ERROR: 'red' } as const;

/** One row for a terminal: time, function, event, user, outcome, milliseconds, and the rest; in colour on a terminal. */
export function formatLogLine({
  at,
  level,
  source,
  what,
  user,
  outcome,
  durationMillis,
  details,
}: LogLine): string {
  // An empty text stays empty, without colours around it.
  const colour = (format: Parameters<typeof styleText>[0], text: string) =>
    text === '' ? '' : styleText(format, text, { stream: process.stdout });
  const time = new Date(at).toLocaleTimeString('en-GB');
  const result = [
    colour(COLOURS[level], outcome ?? ''),
    durationMillis === null ? '' : `${durationMillis} ms`,
    colour('dim', details),
  ];
  return [
    colour('dim', time),
    colour('cyan', source.padEnd(7)),
    level === 'INFO' ? what.padEnd(15) : colour(COLOURS[level], what.padEnd(15)),
    (user ?? '').padEnd(21),
    ...result.filter((text) => text !== ''),
  ]
    .join('  ')
    .trimEnd();
}
