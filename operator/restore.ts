import { refuseArguments } from './arguments.ts';
import { asJson, type Command, type CommandLine } from './command.ts';
import { invokeSweeper } from './invoke-sweeper.ts';
import { UsageError } from './operator-error.ts';

const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/;

export const restore: Command = {
  synopsis: '--since <time>',
  summary: 'undoes the marking of grants as dead',
  description: `For a wave of false revocations: connections that have been marked since that time, such as
2026-11-24T03:00Z, are due at once, and the next sweep asks Spotify about them. Prints how many they are. Works for a
week after the mark; then the tokens of dead grants have been removed.`,
  options: { since: { type: 'string' } },
  parse(commandLine) {
    refuseArguments(commandLine, 'restore takes no argument but --since <time>');
    const since = parseSince(commandLine);
    return async (deployment) =>
      asJson(await invokeSweeper(deployment, { command: 'restore', since }, 'restoring connections'));
  },
};

/** @returns the time in UTC */
function parseSince({ values: { since } }: CommandLine): string {
  if (typeof since !== 'string') throw new UsageError('say since when: --since 2026-11-24T03:00Z');
  const milliseconds =
    INSTANT.test(since) && isCalendarDay(since.slice(0, 10)) ? Date.parse(since) : Number.NaN;
  if (Number.isNaN(milliseconds)) {
    throw new UsageError(`--since must be a time with its zone such as 2026-11-24T03:00Z, got "${since}"`);
  }
  if (milliseconds > Date.now()) throw new UsageError(`--since must not be in the future, got "${since}"`);
  return new Date(milliseconds).toISOString();
}

/** `Date.parse` takes February 31 for March 3. */
function isCalendarDay(day: string): boolean {
  const milliseconds = Date.parse(day);
  return !Number.isNaN(milliseconds) && new Date(milliseconds).toISOString().startsWith(day);
}
