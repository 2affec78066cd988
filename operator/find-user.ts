import * as v from 'valibot';
import type { UserArgument } from './arguments.ts';
import type { Deployment } from './deployment.ts';
import { invokeSweeper } from './invoke-sweeper.ts';
import { OperatorError } from './operator-error.ts';

const Found = v.object({ user_id: v.nullable(v.string()) });

/** The id of the user whom the command line names. Rejects with an OperatorError where no account has the e-mail. */
export async function findUser(deployment: Deployment, user: UserArgument): Promise<string> {
  if ('userId' in user) return user.userId;
  const event = { command: 'find', email: user.email };
  const found = v.parse(Found, await invokeSweeper(deployment, event, 'looking the user up'));
  if (found.user_id === null) {
    throw new OperatorError(
      `no account has this e-mail in the Supabase project of ${deployment.stackName}: is it another stage, or the address at Spotify?`,
    );
  }
  return found.user_id;
}

/** What to say where the database knows no such user. */
export function unknownUser(deployment: Deployment, userId: string): OperatorError {
  return new OperatorError(
    `no user ${userId} in the Supabase project of ${deployment.stackName}: is it another stage?`,
  );
}
