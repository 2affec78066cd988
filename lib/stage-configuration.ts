import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import * as v from 'valibot';
import { address, arn, display, mustBe, origin, text, wholeNumber } from './setting-rules.ts';
import { longestSweepIntervalMinutes } from './sweep-window.ts';

const retentionDays = Object.values(RetentionDays).filter(
  (days) => typeof days === 'number' && days !== RetentionDays.INFINITE,
);

const logLevels = ['DEBUG', 'INFO', 'WARN', 'ERROR'] as const;

const secretArn = text(
  arn('secretsmanager', 'secret:[\\w/+=.@-]+-[A-Za-z0-9]{6}'),
  // What stands there is not repeated: it may be the secret itself.
  'must be the complete ARN of a secret such as arn:aws:secretsmanager:eu-west-1:123456789012:secret:name-AbCdEf',
);

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

    /**
     * Existing SNS topic that hears of alarms, in the region of the stack. Its policy has to let CloudWatch publish.
     * @default - the stack creates one
     */
    alarmTopicArn: v.optional(
      text(
        arn('sns', '[\\w-]+'),
        mustBe('the ARN of an SNS topic such as arn:aws:sns:eu-west-1:123456789012:alarms'),
      ),
    ),

    /**
     * Address that hears of alarms, once its owner has followed the link that AWS sends there.
     * @default - none: who wants to hear of alarms subscribes to the topic
     */
    alarmEmail: v.optional(
      text(/^[^\s@]+@[^\s@]+\.[^\s@]+$/, mustBe('an e-mail address such as platform@example.com')),
    ),

    /**
     * Address of the runbook that alarms and dashboard link to.
     * @default 'https://github.com/bondhu/spotify-persistent-authentication/blob/main/docs/runbook.md'
     */
    runbookUrl: v.optional(
      address('an address such as https://wiki.example.com/runbook, without #'),
      'https://github.com/bondhu/spotify-persistent-authentication/blob/main/docs/runbook.md',
    ),

    /**
     * EventBridge bus that other teams listen to: the name of one of this account, or an ARN. It has to exist.
     * @default 'default'
     */
    eventBus: v.optional(
      text(
        new RegExp(`^[\\w./-]+$|${arn('events', 'event-bus/[\\w./-]+').source}`),
        mustBe(
          'the name or the ARN of an event bus such as arn:aws:events:eu-west-1:123456789012:event-bus/bondhu',
        ),
      ),
      'default',
    ),

    /**
     * Existing secret with the Spotify client, by its complete ARN. Where it is encrypted with a key of yours, the policy
     * of that key has to let the functions decrypt with it.
     * @default - the stack creates one, empty
     */
    spotifySecretArn: v.optional(secretArn),

    /**
     * Existing secret with Supabase's key, by its complete ARN. For its encryption the same holds.
     * @default - the stack creates one, empty
     */
    supabaseSecretArn: v.optional(secretArn),

    /**
     * Domain of the API. A DNS record has to point from it to the output `DomainTarget`.
     * @default - the one that AWS makes up
     */
    domainName: v.optional(
      text(
        /^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]$/,
        mustBe('a domain in lower case such as spotify-auth.example.com'),
      ),
    ),

    /**
     * Certificate for `domainName` in AWS Certificate Manager, in the region of the stack.
     * @default - none: needed with `domainName` only
     */
    certificateArn: v.optional(
      text(
        arn('acm', 'certificate/[\\w-]+'),
        mustBe(
          'the ARN of a certificate such as arn:aws:acm:eu-west-1:123456789012:certificate/12345678-90ab-cdef-1234-567890abcdef',
        ),
      ),
    ),

    /**
     * Tags of the stack and of all that is in it.
     * @default - none
     */
    tags: v.optional(
      v.pipe(
        v.custom<Record<string, unknown>>(isRecord, mustBe('tags such as {"team": "platform"}')),
        v.record(
          text(
            /^(?!aws:)[\w .:/=+@-]{1,128}$/,
            mustBe('a tag of letters, digits, spaces and _.:/=+-@, not starting with aws:'),
          ),
          text(/^[\w .:/=+@-]{0,256}$/, mustBe('a text of letters, digits, spaces and _.:/=+-@')),
        ),
      ),
    ),

    /**
     * Whether CloudFormation refuses to delete the stack.
     * @default false
     */
    terminationProtection: v.optional(v.boolean(mustBe('true or false')), false),
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
  v.forward(
    v.check(
      ({ alarmTopicArn, alarmEmail }) => alarmTopicArn === undefined || alarmEmail === undefined,
      'cannot be used together with alarmTopicArn: leave it out, and subscribe the address to that topic',
    ),
    ['alarmEmail'],
  ),
  v.forward(
    v.check(
      ({ domainName, certificateArn }) => domainName === undefined || certificateArn !== undefined,
      'needs certificateArn, the certificate of that domain in ACM',
    ),
    ['domainName'],
  ),
  v.forward(
    v.check(
      ({ domainName, certificateArn }) => certificateArn === undefined || domainName !== undefined,
      'needs domainName, the domain of the API that the certificate is for',
    ),
    ['certificateArn'],
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
