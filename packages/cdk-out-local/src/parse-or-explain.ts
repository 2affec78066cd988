import * as v from 'valibot';

/**
 * Parses the CDK's output.
 *
 * @param at the input's place, for errors
 * @throws naming everything that the schema does not know or does not accept
 */
export function parseOrExplain<Schema extends v.GenericSchema>(
  schema: Schema,
  input: unknown,
  at: string,
): v.InferOutput<Schema> {
  const result = v.safeParse(schema, input);
  if (result.success) return result.output;
  throw new Error(result.issues.map((issue) => `${at}: ${explainIssue(issue)}`).join('\n'));
}

function explainIssue(issue: v.BaseIssue<unknown>): string {
  const path = v.getDotPath(issue);
  const isUnknownKey = issue.type === 'strict_object' && issue.expected === 'never';
  return isUnknownKey ? `${path} is not implemented on this machine` : `${path}: ${issue.message}`;
}
