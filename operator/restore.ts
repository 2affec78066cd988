import * as v from 'valibot';
import { refuseArguments } from './arguments.ts';
import { asTable, type Command, type CommandLine, type CommandResult } from './command.ts';
import { confirm } from './confirm.ts';
import type { Deployment } from './deployment.ts';
import { Data } from './fields.ts';
import { invokeSweeper } from './invoke-sweeper.ts';
import { OperatorError, UsageError } from './operator-error.ts';

const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/;

/** Restoring more than these needs a confirmation. */
const MOST_WITHOUT_QUESTION = 10;

const Counted = v.object({ restorable: v.number() });

export const restore: Command = {
  synopsis: '--since <time>',
  summary: 'restores connections that were marked dead',
  description: `For a wave of false revocations. Connections that were marked dead since that time, such as
2026-11-24T03:00Z, become due at once, and the next sweep asks Spotify about them. Asks before it restores more than ${MOST_WITHOUT_QUESTION}. Works
for a week after the mark; then the tokens of dead grants have been removed.

  --dry-run         only shows how many it would restore
  --yes             does not ask, for scripts`,
  options: { since: { type: 'string' }, 'dry-run': { type: 'boolean' }, yes: { type: 'boolean' } },
  fields: {
    restorable: 'with --dry-run: how many connections would be restored',
    restored: 'how many connections were restored',
  },
  parse(commandLine) {
    refuseArguments(commandLine, 'restore takes only --since <time>');
    const since = parseSince(commandLine);
    const { 'dry-run': isDryRun, yes: isSure } = commandLine.values;
    return async (deployment) => {
      if (isDryRun === true) return show({ restorable: await count(deployment, since) });
      if (isSure !== true) await askAboutMany(await count(deployment, since), since);
      const event = { command: 'restore', since };
      return show(await invokeSweeper(deployment, event, 'restoring connections', Data));
    };
  },
};

function show(result: Readonly<Record<string, unknown>>): CommandResult {
  return asTable(restore.fields, result);
}

async function count(deployment: Deployment, since: string): Promise<number> {
  const event = { command: 'restore', since, dryRun: true };
  return (await invokeSweeper(deployment, event, 'counting connections', Counted)).restorable;
}

async function askAboutMany(restorable: number, since: string): Promise<void> {
  if (restorable <= MOST_WITHOUT_QUESTION) return;
  const what = `${restorable} connections marked dead since ${since}`;
  if (!process.stdin.isTTY) {
    throw new OperatorError(
      `this would restore ${what}: add --yes, because there is no terminal to confirm at`,
    );
  }
  if (!(await confirm(`Restore ${what}?`, process.stdin, process.stderr))) {
    throw new OperatorError('nothing was restored');
  }
}

/** @returns the time in UTC */
function parseSince({ values: { since } }: CommandLine): string {
  if (typeof since !== 'string') throw new UsageError('name a time: --since 2026-11-24T03:00Z');
  const milliseconds =
    INSTANT.test(since) && isCalendarDay(since.slice(0, 10)) ? Date.parse(since) : Number.NaN;
  if (Number.isNaN(milliseconds)) {
    throw new UsageError(`--since must be a time with its zone such as 2026-11-24T03:00Z, got "${since}"`);
  }
  if (milliseconds > Date.now()) throw new UsageError(`--since must not be in the future, got "${since}"`);
  return new Date(milliseconds).toISOString();
}

/** `Date.parse` reads February 31 as March 3. */
function isCalendarDay(day: string): boolean {
  const milliseconds = Date.parse(day);
  return !Number.isNaN(milliseconds) && new Date(milliseconds).toISOString().startsWith(day);
}
