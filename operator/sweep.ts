import { refuseArguments } from './arguments.ts';
import { asTable, type Command } from './command.ts';
import { Data } from './fields.ts';
import { invokeSweeper } from './invoke-sweeper.ts';

export const sweep: Command = {
  synopsis: '',
  summary: 'sweeps now',
  description: `Refreshes every token that would expire before the next scheduled sweep ends, and shows the counts. Safe at any
time, even during a scheduled sweep. Waits for connections that are backing off, for at most 15 minutes.`,
  options: {},
  fields: {
    status: 'completed, or why it ended early: out_of_time or throttled',
    refreshed: 'tokens that were refreshed',
    failed: 'attempts that failed temporarily',
    revoked: 'grants that Spotify calls dead',
    throttled: 'attempts that Spotify rate-limited',
    stale: 'outcomes that came too late',
    total: 'the sum of these',
    remaining: 'connections that are still due',
    duration_ms: 'how long it took, in milliseconds',
  },
  parse(commandLine) {
    refuseArguments(commandLine, 'sweep takes no argument; "refresh <user>" refreshes one user');
    return async (deployment) =>
      asTable(sweep.fields, await invokeSweeper(deployment, { command: 'sweep' }, 'sweeping', Data));
  },
};
