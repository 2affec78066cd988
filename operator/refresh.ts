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
  description: `The user is an id, or the e-mail address of the account. Refreshes the token even if it is valid. Asks Spotify again about a
dead grant, but not within 30 s of the last attempt. Leaves a connection alone that another call is refreshing, or that
is backing off.`,
  options: {},
  fields: {
    user_id: 'the user',
    outcome: "Spotify's answer, the verdict of recording it, or the state that kept the call from being made",
    reason: 'why; omitted if there is nothing to add',
    retry_after: 'seconds until the next possible attempt; omitted if none is needed',
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
