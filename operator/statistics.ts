import { refuseArguments } from './arguments.ts';
import { asJson, type Command } from './command.ts';
import { invokeSweeper } from './invoke-sweeper.ts';

export const statistics: Command = {
  synopsis: '',
  summary: 'shows the state of the whole',
  description: `Prints what the database knows of all connections together: connected, due, expired, waiting for their users,
the revocation breaker, the schema's version.`,
  options: {},
  parse(commandLine) {
    refuseArguments(commandLine, 'statistics takes no argument; "show <user-id>" shows one user');
    return async (deployment) =>
      asJson(await invokeSweeper(deployment, { command: 'statistics' }, 'counting connections'));
  },
};
