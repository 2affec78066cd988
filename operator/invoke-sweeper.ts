import { InvokeCommand } from '@aws-sdk/client-lambda';
import * as v from 'valibot';
import type { Deployment } from './deployment.ts';
import { OperatorError } from './operator-error.ts';
import { withProgress } from './progress.ts';

/** Lambda's report of an error that a function has thrown. */
const ThrownError = v.object({ errorType: v.optional(v.string(), 'Error'), errorMessage: v.string() });

/**
 * Sends an event to the sweeper function and waits for its result.
 *
 * @param activity what the function does meanwhile, such as "sweeping"
 * @param schema of the answer
 * @returns rejects with an OperatorError if the function threw an error, or if its answer does not match the schema
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
    throw new OperatorError(
      'the answer of the sweeper is not valid: deploy the version that these commands belong to',
    );
  }
  const thrown = v.safeParse(ThrownError, result);
  if (!thrown.success) throw new OperatorError('the sweeper failed without a reason: see its log');
  const { errorType, errorMessage } = thrown.output;
  throw new OperatorError(
    errorType === 'UnexpectedEventError'
      ? 'the sweeper does not know this command: deploy the version that these commands belong to'
      : `the sweeper failed: ${errorType}: ${errorMessage}`,
  );
}
