import { setTimeout as sleep } from 'node:timers/promises';
import { refuseArguments } from './arguments.ts';
import { asTable, type Command, type CommandLine, type CommandResult } from './command.ts';
import type { Deployment } from './deployment.ts';
import { explainError } from './explain-error.ts';
import { Data } from './fields.ts';
import { invokeSweeper } from './invoke-sweeper.ts';
import { UsageError } from './operator-error.ts';

const DEFAULT_INTERVAL_SECONDS = 10;

export const statistics: Command = {
  synopsis: '[--watch]',
  summary: 'shows the state of the whole',
  description: `What the database knows of all connections together.

  --watch             shows it again and again, until Ctrl-C; each reads the whole queue
  --every <seconds>   the time in between: ${DEFAULT_INTERVAL_SECONDS} unless it is given`,
  options: { watch: { type: 'boolean' }, every: { type: 'string' } },
  fields: {
    connected: 'connections whose grant lives',
    due: "of these, token runs out within the sweeps' window, or at an unknown time",
    expired: 'of these, token has run out',
    oldest_overdue_seconds: 'seconds since the first of these ran out; 0: none has',
    waiting_for_reauthorization: 'connections whose user has to reconnect',
    reauthorizations_due: "living connections that Spotify's six months end within 30 days",
    held: 'grants that Spotify refuses without being believed',
    breaker_open_seconds: 'since the revocation breaker opened; null: it is closed',
    nearly_all_revoked: "whether the client's credentials seem to be another app's",
    not_before_in: 'seconds for which nobody may call Spotify; null: anybody may',
    last_sweep_finished_at: 'when a sweep last came to its end; null: none has',
    seconds_since_last_sweep: 'the same in seconds',
    implausible_expiries: 'connections whose last expiry from outside cannot be true',
    shared_tokens: 'connections whose refresh token another one has too',
    missed_profile_changes: 'changes that reached the queue late, ever',
    schema_version: "of the database's functions",
  },
  parse(commandLine) {
    refuseArguments(commandLine, 'statistics takes no argument; "show <user>" shows one user');
    const everySeconds = parseInterval(commandLine);
    return everySeconds === null ? count : (deployment) => watch(deployment, everySeconds);
  },
};

/** @returns seconds; null: not to be watched. @throws UsageError */
function parseInterval({ values: { watch, every } }: CommandLine): number | null {
  if (watch !== true) {
    if (every !== undefined) throw new UsageError('--every goes with --watch');
    return null;
  }
  const seconds = Number(every ?? DEFAULT_INTERVAL_SECONDS);
  if (!(seconds >= 1 && seconds <= 3_600)) {
    throw new UsageError(`--every must be 1 to 3600 seconds, got "${every}"`);
  }
  return seconds;
}

async function count(deployment: Deployment): Promise<CommandResult> {
  return asTable(
    statistics.fields,
    await invokeSweeper(deployment, { command: 'statistics' }, 'counting connections', Data),
  );
}

async function* watch(deployment: Deployment, everySeconds: number): AsyncGenerator<CommandResult> {
  yield withTime(await count(deployment));
  for (;;) {
    await sleep(everySeconds * 1_000);
    try {
      yield withTime(await count(deployment));
    } catch (error) {
      // Nobody wants to start it again in the middle of an outage.
      process.stderr.write(`${explainError(error)}\n`);
    }
  }
}

function withTime(result: CommandResult): CommandResult {
  return { ...result, text: `\n${new Date().toISOString()}\n${result.text}` };
}
