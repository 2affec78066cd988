import { InvokeCommand } from '@aws-sdk/client-lambda';
import * as v from 'valibot';
import type { Deployment } from './deployment.ts';
import { OperatorError } from './operator-error.ts';
import { withProgress } from './progress.ts';

/** How Lambda reports an error that a function has thrown. */
const ThrownError = v.object({ errorType: v.optional(v.string(), 'Error'), errorMessage: v.string() });

/**
 * Hands an event to the sweeper function and waits for its result.
 *
 * @param activity what the function does meanwhile, such as "sweeping"
 * @returns the function's own result; rejects with an OperatorError where it threw an error
 */
export async function invokeSweeper(
  { aws, output }: Deployment,
  event: object,
  activity: string,
): Promise<unknown> {
  const { FunctionError, Payload } = await withProgress(
    activity,
    aws.lambda.send(
      new InvokeCommand({ FunctionName: output('SweeperFunctionName'), Payload: JSON.stringify(event) }),
    ),
  );
  const result: unknown = JSON.parse(Payload?.transformToString() || 'null');
  if (FunctionError === undefined) return result;
  const thrown = v.safeParse(ThrownError, result);
  if (!thrown.success) throw new OperatorError('the sweeper failed, and said not why: look into its log');
  const { errorType, errorMessage } = thrown.output;
  throw new OperatorError(
    errorType === 'UnexpectedEventError'
      ? 'the sweeper does not know this command: deploy it with the version of these commands'
      : `the sweeper failed: ${errorType}: ${errorMessage}`,
  );
}
