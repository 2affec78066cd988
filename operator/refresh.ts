import * as v from 'valibot';
import { parseUser } from './arguments.ts';
import { asTable, type Command } from './command.ts';
import { Data } from './fields.ts';
import { findUser } from './find-user.ts';
import { invokeSweeper } from './invoke-sweeper.ts';
import { OperatorError } from './operator-error.ts';

const NothingToRefresh = v.object({ outcome: v.literal('disconnected') });

export const refresh: Command = {
  synopsis: '<user>',
  summary: "refreshes one user's token now",
  description: `The user is an id, or the e-mail of the account. Refreshes however long the token has left. Asks Spotify again about a
dead grant, 30 s after the last attempt at the earliest. Leaves a connection alone that another call is refreshing, or that
backs off.`,
  options: {},
  fields: {
    user_id: 'the user',
    outcome:
      'what Spotify answered, what became of recording it, or the state because of which it was not asked',
    reason: 'why; left out where there is no more to say',
    retry_after: 'seconds until it may be tried again; left out where it need not be',
  },
  parse(commandLine) {
    const user = parseUser(commandLine);
    return async (deployment) => {
      const userId = await findUser(deployment, user);
      const result = await invokeSweeper(deployment, { command: 'refresh', userId }, 'refreshing', Data);
      if (v.is(NothingToRefresh, result)) {
        throw new OperatorError(
          `user ${userId} has no connection to refresh in ${deployment.stackName}: "explain ${userId}" says why`,
        );
      }
      return asTable(refresh.fields, result);
    };
  },
};
