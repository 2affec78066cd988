import * as v from 'valibot';
import type { UserArgument } from './arguments.ts';
import type { Deployment } from './deployment.ts';
import { invokeSweeper } from './invoke-sweeper.ts';
import { OperatorError } from './operator-error.ts';

const Found = v.object({ user_id: v.nullable(v.string()) });

const UnknownUser = v.object({ state: v.literal('unknown_user') });

/** The id of the user given on the command line. Rejects with an OperatorError if no account has the e-mail address. */
export async function findUser(deployment: Deployment, user: UserArgument): Promise<string> {
  if ('userId' in user) return user.userId;
  const event = { command: 'find', email: user.email };
  const found = await invokeSweeper(deployment, event, 'looking up the user', Found);
  if (found.user_id === null) {
    throw new OperatorError(
      `no account has this e-mail address in the Supabase project of ${deployment.stackName}: check --stage, and use the address at Bondhu, not at Spotify`,
    );
  }
  return found.user_id;
}

/** The sweeper's report on one user's connection. Rejects with an OperatorError if the database has no such user. */
export async function askAboutUser<Answer>(
  deployment: Deployment,
  command: 'show' | 'explain',
  user: UserArgument,
  schema: v.GenericSchema<unknown, Answer>,
): Promise<Answer> {
  const userId = await findUser(deployment, user);
  const answer = await invokeSweeper(
    deployment,
    { command, userId },
    'looking up the connection',
    v.union([UnknownUser, schema]),
  );
  if (!v.is(UnknownUser, answer)) return answer as Answer;
  throw new OperatorError(
    `no user ${userId} in the Supabase project of ${deployment.stackName}: check the id and --stage`,
  );
}
