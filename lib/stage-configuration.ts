import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import * as v from 'valibot';
import { address, display, mustBe, origin, wholeNumber } from './setting-rules.ts';
import { longestSweepIntervalMinutes } from './sweep-window.ts';

const retentionDays = Object.values(RetentionDays).filter(
  (days) => typeof days === 'number' && days !== RetentionDays.INFINITE,
);

const logLevels = ['DEBUG', 'INFO', 'WARN', 'ERROR'] as const;

/** What a stage may set in `context.stages.<stage>` of cdk.json, and what holds when it does not. */
const settings = v.strictObject(
  {
    /** Address of the Supabase project whose users this stage serves. */
    supabaseUrl: origin('an address such as https://<project>.supabase.co, without a path'),

    /** Origins of the pages that may read the API's answers. */
    allowedOrigins: v.pipe(
      v.array(
        origin('an exact origin such as https://app.example.com, without *, path or trailing slash'),
        mustBe('a list of origins such as ["https://app.example.com"]'),
      ),
      v.nonEmpty(mustBe('a list of at least one origin such as ["https://app.example.com"]')),
    ),

    /**
     * Spotify's token endpoint.
     * @default 'https://accounts.spotify.com/api/token'
     */
    spotifyTokenUrl: v.optional(
      address('an address such as https://accounts.spotify.com/api/token'),
      'https://accounts.spotify.com/api/token',
    ),

    /**
     * Minutes from the start of one sweep to the start of the next.
     * @default 30
     */
    sweepIntervalMinutes: v.optional(wholeNumber({ from: 5 }), 30),

    /**
     * Minutes that a sweep is expected to take. The more, the sooner a token is refreshed and the shorter the
     * longest interval.
     * @default 5
     */
    expectedSweepMinutes: v.optional(wholeNumber({ from: 5, to: 30 }), 5),

    /**
     * Connections that the sweeper claims and records at a time.
     * @default 500
     */
    sweepBatchSize: v.optional(wholeNumber({ from: 1, to: 1000 }), 500),

    /**
     * Connections that one invocation of the sweeper is expected to refresh. A sweep with more to do wakes helpers.
     * @default 100000
     */
    sweepConnectionsPerInvocation: v.optional(wholeNumber({ from: 1 }), 100_000),

    /**
     * Helpers that sweep at once, at most. Lambda's own lowest value is 2.
     * @default 5
     */
    sweepMaxConcurrency: v.optional(wholeNumber({ from: 2, to: 1000 }), 5),

    /**
     * Calls to Spotify in a second that sweeps may start, all invocations together. Status calls are not counted.
     * @default - no ceiling: Spotify publishes no figure, and the pace follows its answers
     */
    spotifyCallsPerSecond: v.optional(wholeNumber({ from: 1 })),

    /**
     * Seconds after which Lambda ends a sweep.
     * @default 900
     */
    sweeperTimeoutSeconds: v.optional(wholeNumber({ from: 60, to: 900 }), 900),

    /**
     * Memory of the sweeper.
     * @default 1024
     */
    sweeperMemoryMegabytes: v.optional(wholeNumber({ from: 128, to: 10240 }), 1024),

    /**
     * Minutes before expiry from which a status call refreshes the token.
     * @default 5
     */
    statusRefreshMarginMinutes: v.optional(wholeNumber({ from: 1, to: 30 }), 5),

    /**
     * Seconds that a status call may take for its own work. Less than its timeout, so that it always answers.
     * @default 8
     */
    statusBudgetSeconds: v.optional(wholeNumber({ from: 1 }), 8),

    /**
     * Seconds after which Lambda ends a status call. The HTTP API itself gives up after 30.
     * @default 10
     */
    statusTimeoutSeconds: v.optional(wholeNumber({ from: 2, to: 29 }), 10),

    /**
     * Memory of the status function.
     * @default 512
     */
    statusMemoryMegabytes: v.optional(wholeNumber({ from: 128, to: 10240 }), 512),

    /**
     * Requests per second that the API lets through over time.
     * @default 100
     */
    throttleRequestsPerSecond: v.optional(wholeNumber({ from: 1 }), 100),

    /**
     * Requests that the API lets through at once.
     * @default 200
     */
    throttleBurstRequests: v.optional(wholeNumber({ from: 1 }), 200),

    /**
     * What the functions log: from this level up. `DEBUG` has a line for each token that a sweep refreshed, about 700
     * bytes each time; without it there is a line for each that failed, and the sweep's counts.
     * @default 'INFO'
     */
    logLevel: v.optional(v.picklist(logLevels, mustBe(`one of ${logLevels.join(', ')}`)), 'INFO'),

    /**
     * Days that logs are kept: one of the periods that CloudWatch knows.
     * @default 30
     */
    logRetentionDays: v.optional(v.picklist(retentionDays, mustBe(`one of ${retentionDays.join(', ')}`)), 30),
  },
  // The value of an unknown key is not repeated: it may be a secret that somebody meant to configure here.
  (): string => `is not a setting, use one of ${Object.keys(settings.entries).join(', ')}`,
);

const consistentSettings = v.pipe(
  settings,
  v.forward(
    v.check(
      ({ statusBudgetSeconds, statusTimeoutSeconds }) => statusBudgetSeconds < statusTimeoutSeconds,
      ({ input }) =>
        `must be less than statusTimeoutSeconds (${input.statusTimeoutSeconds}), got ${input.statusBudgetSeconds}`,
    ),
    ['statusBudgetSeconds'],
  ),
  v.forward(
    v.check(
      ({ sweepIntervalMinutes, expectedSweepMinutes }) =>
        sweepIntervalMinutes <= longestSweepIntervalMinutes(expectedSweepMinutes),
      ({ input: { sweepIntervalMinutes, expectedSweepMinutes } }) =>
        `must be from 5 to ${longestSweepIntervalMinutes(expectedSweepMinutes)}, so that a token of 60 minutes outlives the next sweep (expectedSweepMinutes is ${expectedSweepMinutes}), got ${sweepIntervalMinutes}`,
    ),
    ['sweepIntervalMinutes'],
  ),
);

/** The deploy-time configuration of one stage, complete and consistent. */
export type StageConfiguration = v.InferOutput<typeof consistentSettings>;

/** cdk.json cannot be used as it is. The message is one line: the place, and what to write there. */
export class StageConfigurationError extends Error {
  readonly code = 'INVALID_STAGE_CONFIGURATION';
}

/**
 * Reads the configuration of one stage out of `context.stages` of cdk.json.
 *
 * @param stage name of the stage, as chosen with `-c stage=<stage>`
 * @param stages the value of `context.stages`
 * @throws StageConfigurationError when the stage or one of its settings is wrong, missing or unknown
 */
export function parseStageConfiguration(stage: string, stages: unknown): StageConfiguration {
  if (!isRecord(stages)) {
    throw new StageConfigurationError(
      `cdk.json, context.stages: must be an object with a member for each stage, got ${display(stages)}`,
    );
  }
  if (!Object.hasOwn(stages, stage)) {
    throw new StageConfigurationError(
      `cdk.json, context.stages: has no stage ${display(stage)}, choose one with -c stage=<stage>: ${Object.keys(stages).join(', ')}`,
    );
  }
  if (!/^[a-z][a-z0-9-]*$/.test(stage)) {
    throw new StageConfigurationError(
      `cdk.json, context.stages: the name of a stage must be lower-case letters, digits and hyphens, got ${display(stage)}`,
    );
  }
  const place = `cdk.json, context.stages.${stage}`;
  const values = stages[stage];
  if (!isRecord(values)) {
    throw new StageConfigurationError(
      `${place}: must be an object with the settings of the stage, got ${display(values)}`,
    );
  }
  // A required key that is missing is refused by the rule for its value, which says what to write.
  const result = v.safeParse(consistentSettings, {
    supabaseUrl: undefined,
    allowedOrigins: undefined,
    ...values,
  });
  if (!result.success) {
    const [issue] = result.issues;
    throw new StageConfigurationError(`${place}.${v.getDotPath(issue)}: ${issue.message}`);
  }
  return result.output;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
