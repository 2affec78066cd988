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
  summary: 'counts connections by state',
  description: `The database's statistics of all connections.

  --watch             repeats it until Ctrl-C; each time reads the whole queue
  --every <seconds>   the interval, by default ${DEFAULT_INTERVAL_SECONDS}`,
  options: { watch: { type: 'boolean' }, every: { type: 'string' } },
  fields: {
    connected: 'connections whose grant is alive',
    due: "of these, token expires within the sweeps' window, or at an unknown time",
    expired: 'of these, token has expired',
    oldest_overdue_seconds: 'seconds since the first of these expired; 0: none has',
    waiting_for_reauthorization: 'connections whose user has to reconnect',
    reauthorizations_due: "living connections that Spotify's six months end within 30 days",
    held: 'grants that Spotify refuses and this system keeps for now',
    breaker_open_seconds: 'seconds since the revocation breaker opened; null: it is closed',
    nearly_all_revoked:
      "whether Spotify refuses nearly all grants, usually because the credentials are another app's",
    not_before_in: 'seconds for which no function may call Spotify; null: they may',
    last_sweep_finished_at: 'when a sweep last finished; null: none has',
    seconds_since_last_sweep: 'seconds since then',
    implausible_expiries: 'connections whose last expiry from outside cannot be true',
    shared_tokens: 'connections that share a refresh token with another one',
    missed_profile_changes: 'changes that reached the queue late, in total',
    schema_version: 'version of the database schema',
  },
  parse(commandLine) {
    refuseArguments(commandLine, 'statistics takes no argument; "show <user>" shows one user');
    const everySeconds = parseInterval(commandLine);
    return everySeconds === null ? count : (deployment) => watch(deployment, everySeconds);
  },
};

/** @returns seconds; null if it is not to be repeated. @throws UsageError */
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
      // Keeps going, because restarting it in the middle of an outage would be a nuisance.
      process.stderr.write(`${explainError(error)}\n`);
    }
  }
}

function withTime(result: CommandResult): CommandResult {
  return { ...result, text: `\n${new Date().toISOString()}\n${result.text}` };
}
