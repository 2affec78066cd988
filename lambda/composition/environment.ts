import * as v from 'valibot';
import { EnvironmentVariables } from '../environment-variables.ts';

/** A text that is not empty. */
const Text = v.pipe(v.string('set'), v.nonEmpty('set'));

/** An absolute http or https address. */
const HttpUrl = v.pipe(
  Text,
  v.regex(/^https?:\/\//, 'an http or https address'),
  v.check(URL.canParse, 'an http or https address'),
  v.transform((text) => new URL(text)),
);

/** A JSON array of texts, at least one. */
const TextList = v.pipe(
  Text,
  v.parseJson(undefined, 'a JSON array of texts'),
  v.array(
    v.pipe(v.string('a JSON array of texts'), v.nonEmpty('a JSON array of texts')),
    'a JSON array of texts',
  ),
  v.nonEmpty('a JSON array of texts'),
);

/** A whole number above zero. */
const PositiveInteger = v.pipe(
  Text,
  v.regex(/^\d+$/, 'a whole number above zero'),
  v.transform(Number),
  v.safeInteger('a whole number above zero'),
  v.minValue(1, 'a whole number above zero'),
);

/** What both functions refresh connections with. */
const RefreshEnvironment = v.object({
  [EnvironmentVariables.stackName]: Text,
  [EnvironmentVariables.supabaseUrl]: HttpUrl,
  [EnvironmentVariables.supabaseTokenIssuers]: TextList,
  [EnvironmentVariables.supabaseSecretArn]: Text,
  [EnvironmentVariables.spotifySecretArn]: Text,
  [EnvironmentVariables.spotifyTokenUrl]: HttpUrl,
  [EnvironmentVariables.rescueQueueUrl]: HttpUrl,
  [EnvironmentVariables.rescueKeyArn]: Text,
});

/** The environment of the status function. */
export const StatusEnvironment = v.object({
  ...RefreshEnvironment.entries,
  [EnvironmentVariables.statusRefreshMarginSeconds]: PositiveInteger,
  [EnvironmentVariables.statusBudgetSeconds]: PositiveInteger,
});

/** The environment of the refresh-sweeper function. */
export const SweeperEnvironment = v.object({
  ...RefreshEnvironment.entries,
  [EnvironmentVariables.sweepWindowSeconds]: PositiveInteger,
  [EnvironmentVariables.sweepBatchSize]: PositiveInteger,
  [EnvironmentVariables.sweepIntervalSeconds]: PositiveInteger,
  [EnvironmentVariables.sweeperTimeoutSeconds]: PositiveInteger,
  [EnvironmentVariables.sweepConnectionsPerInvocation]: PositiveInteger,
  [EnvironmentVariables.spotifyCallsPerSecond]: v.optional(PositiveInteger),
  [EnvironmentVariables.sweepQueueUrl]: HttpUrl,
  [EnvironmentVariables.eventBus]: Text,
});

export type RefreshEnvironment = v.InferOutput<typeof RefreshEnvironment>;

/** Environment variables that are missing or malformed: the deployment is broken, not the request. */
export class EnvironmentError extends Error {
  override readonly name = 'EnvironmentError';
  readonly code = 'ENVIRONMENT_INVALID';
}

/**
 * Parses the environment of a function, once, while an instance starts. An error fails the start of every instance, so
 * the first invocation after a deployment shows it.
 *
 * @throws EnvironmentError that names every wrong variable, and repeats none of their values
 */
export function parseEnvironment<Environment>(
  schema: v.GenericSchema<unknown, Environment>,
  variables: NodeJS.ProcessEnv,
): Environment {
  const parsed = v.safeParse(schema, variables);
  if (!parsed.success) {
    const problems = Map.groupBy(parsed.issues, ({ path }) => String(path?.[0]?.key ?? ''));
    throw new EnvironmentError(
      [...problems]
        .map(([name, [issue]]) => `environment variable ${name} must be ${describeExpectation(issue)}`)
        .join('; '),
    );
  }
  return parsed.output;
}

/** A missing variable is reported by the surrounding object, in valibot's own words. */
function describeExpectation(issue: v.BaseIssue<unknown> | undefined): string {
  return issue?.input === undefined ? 'set' : issue.message;
}
