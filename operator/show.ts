import * as v from 'valibot';
import { parseUserId } from './arguments.ts';
import { asJson, type Command } from './command.ts';
import { invokeSweeper } from './invoke-sweeper.ts';
import { OperatorError } from './operator-error.ts';

const UnknownUser = v.object({ state: v.literal('unknown_user') });

export const show: Command = {
  synopsis: '<user-id>',
  summary: "shows the state of one user's connection",
  description: `Prints when its token runs out and is refreshed next, failures, and whether the user has to authorize again and
since when. Never a token, an e-mail or a Spotify id.`,
  options: {},
  parse(commandLine) {
    const userId = parseUserId(commandLine);
    return async (deployment) => {
      const result = await invokeSweeper(
        deployment,
        { command: 'show', userId },
        'looking the connection up',
      );
      if (v.is(UnknownUser, result)) {
        throw new OperatorError(
          `no user ${userId} in the Supabase project of ${deployment.stackName}: is it another stage?`,
        );
      }
      return asJson(result);
    };
  },
};
