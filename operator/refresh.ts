import * as v from 'valibot';
import { parseUserId } from './arguments.ts';
import { asJson, type Command } from './command.ts';
import { invokeSweeper } from './invoke-sweeper.ts';
import { OperatorError } from './operator-error.ts';

const NothingToRefresh = v.object({ outcome: v.literal('disconnected') });

export const refresh: Command = {
  synopsis: '<user-id>',
  summary: "refreshes one user's token now",
  description: `However long the token has left. Prints what happened. Asks Spotify again about a dead grant, 30 s after
the last attempt at the earliest. Leaves a connection alone that another call is refreshing, or that backs off.`,
  options: {},
  parse(commandLine) {
    const userId = parseUserId(commandLine);
    return async (deployment) => {
      const result = await invokeSweeper(deployment, { command: 'refresh', userId }, 'refreshing');
      if (v.is(NothingToRefresh, result)) {
        throw new OperatorError(
          `user ${userId} has no connection to refresh in ${deployment.stackName}: "show ${userId}" says why`,
        );
      }
      return asJson(result);
    };
  },
};
