import { refuseArguments } from './arguments.ts';
import { asJson, type Command } from './command.ts';
import { invokeSweeper } from './invoke-sweeper.ts';

export const sweep: Command = {
  synopsis: '',
  summary: 'sweeps now',
  description: `Refreshes every token that would not outlive the next scheduled sweep, and prints the sweep's counts. Safe at any
time, also while the schedule sweeps. Connections that back off are waited for, 15 minutes at most.`,
  options: {},
  parse(commandLine) {
    refuseArguments(commandLine, 'sweep takes no argument; "refresh <user-id>" refreshes one user');
    return async (deployment) => asJson(await invokeSweeper(deployment, { command: 'sweep' }, 'sweeping'));
  },
};
