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
 * @param schema what it answers
 * @returns rejects with an OperatorError where it threw an error, or answers something else
 */
export async function invokeSweeper<Result>(
  { aws, output, stage }: Deployment,
  event: object,
  activity: string,
  schema: v.GenericSchema<unknown, Result>,
): Promise<Result> {
  const { FunctionError, Payload } = await withProgress(
    activity,
    aws.lambda.send(
      new InvokeCommand({ FunctionName: output('SweeperFunctionName'), Payload: JSON.stringify(event) }),
    ),
  );
  // The function does not know what its stage is called, and leaves it open in the commands that it advises.
  const answer = (Payload?.transformToString() || 'null').replaceAll('<stage>', stage);
  const result: unknown = JSON.parse(answer);
  if (FunctionError === undefined) {
    const parsed = v.safeParse(schema, result);
    if (parsed.success) return parsed.output;
    throw new OperatorError('the sweeper does not answer as it should: deploy the version of these commands');
  }
  const thrown = v.safeParse(ThrownError, result);
  if (!thrown.success) throw new OperatorError('the sweeper failed, and said not why: look into its log');
  const { errorType, errorMessage } = thrown.output;
  throw new OperatorError(
    errorType === 'UnexpectedEventError'
      ? 'the sweeper does not know this command: deploy it with the version of these commands'
      : `the sweeper failed: ${errorType}: ${errorMessage}`,
  );
}
