import * as v from 'valibot';
import * as rules from './setting-rules.ts';

/** The settings of a stage in `context.stages.<stage>` of cdk.json, and their defaults. */
export const stageSettings = v.strictObject(
  {
    /** Address of the Supabase project whose users this stage serves. */
    supabaseUrl: rules.origin('an address such as https://<project>.supabase.co, without a path'),

    /**
     * Accepted values of `iss` in the project's user tokens. A project with a custom domain may
     * write either of its addresses: `doctor` says which.
     * @default - `<supabaseUrl>/auth/v1`
     */
    tokenIssuers: v.optional(rules.addresses),

    /** Origins of the pages that may call the API. */
    allowedOrigins: rules.origins,

    /**
     * Spotify's token endpoint.
     * @default 'https://accounts.spotify.com/api/token'
     */
    spotifyTokenUrl: v.optional(
      rules.address('an address such as https://accounts.spotify.com/api/token'),
      'https://accounts.spotify.com/api/token',
    ),

    /**
     * Minutes from the start of one sweep to the start of the next.
     * @default 30
     */
    sweepIntervalMinutes: v.optional(rules.wholeNumber({ from: 5 }), 30),

    /**
     * Minutes that a sweep is expected to take. With a higher value, tokens are refreshed earlier, and the longest allowed
     * interval is shorter.
     * @default 5
     */
    expectedSweepMinutes: v.optional(rules.wholeNumber({ from: 5, to: 30 }), 5),

    /**
     * Connections that the sweeper claims and records at a time.
     * @default 600
     */
    sweepBatchSize: v.optional(rules.wholeNumber({ from: 1, to: 1000 }), 600),

    /**
     * Due connections per invocation. A sweep with more due connections wakes a helper for each further such number.
     * @default 100000
     */
    sweepConnectionsPerInvocation: v.optional(rules.wholeNumber({ from: 1 }), 100_000),

    /**
     * Helpers that may run at once. Lambda's own minimum is 2. Together with the first invocation of a sweep they must
     * leave room for status calls in the account's concurrency quota, which is 10 in a new account.
     * @default 2
     */
    sweepMaxConcurrency: v.optional(rules.wholeNumber({ from: 2, to: 1000 }), 2),

    /**
     * Calls to Spotify per second that sweeps may start, across all invocations. Status calls do not count.
     * @default - no limit: Spotify publishes no figure, and the pace follows its answers
     */
    spotifyCallsPerSecond: v.optional(rules.wholeNumber({ from: 1 })),

    /**
     * Seconds after which Lambda ends a sweep.
     * @default 900
     */
    sweeperTimeoutSeconds: v.optional(rules.wholeNumber({ from: 60, to: 900 }), 900),

    /**
     * Memory of the sweeper.
     * @default 1024
     */
    sweeperMemoryMegabytes: v.optional(rules.wholeNumber({ from: 128, to: 10240 }), 1024),

    /**
     * A status call refreshes a token that has fewer minutes left than this. At most half of a token's 60 minutes: the
     * higher the value, the more page loads refresh a valid token.
     * @default 5
     */
    statusRefreshMarginMinutes: v.optional(rules.wholeNumber({ from: 1, to: 30 }), 5),

    /**
     * Seconds that a status call may spend on its own work. Less than its timeout, so that it always answers.
     * @default 8
     */
    statusBudgetSeconds: v.optional(rules.wholeNumber({ from: 1 }), 8),

    /**
     * Seconds after which Lambda ends a status call. The HTTP API itself gives up after 30.
     * @default 10
     */
    statusTimeoutSeconds: v.optional(rules.wholeNumber({ from: 2, to: 29 }), 10),

    /**
     * Memory of the status function.
     * @default 512
     */
    statusMemoryMegabytes: v.optional(rules.wholeNumber({ from: 128, to: 10240 }), 512),

    /**
     * Requests per second that the API accepts over time.
     * @default 100
     */
    throttleRequestsPerSecond: v.optional(rules.wholeNumber({ from: 1 }), 100),

    /**
     * Requests that the API accepts at once.
     * @default 200
     */
    throttleBurstRequests: v.optional(rules.wholeNumber({ from: 1 }), 200),

    /**
     * The functions log from this level up. `DEBUG` adds a line of about 700 bytes for each token that a sweep refreshed;
     * `INFO` has a line for each failure, and the sweep's counts.
     * Above `INFO`, Lambda would drop the metrics (docs/decisions/0020-no-log-level-above-info.md).
     * @default 'INFO'
     */
    logLevel: v.optional(rules.logLevel, 'INFO'),

    /**
     * Days that logs are kept: one of the periods that CloudWatch supports.
     * @default 30
     */
    logRetentionDays: v.optional(rules.retentionDays, 30),

    /**
     * Existing SNS topic for the alarms, in the region of the stack. Its policy must let CloudWatch publish.
     * @default - the stack creates one
     */
    alarmTopicArn: v.optional(rules.topicArn),

    /**
     * E-mail address for the alarms. Its owner must follow the link that AWS sends there.
     * @default - none: subscribe to the topic yourself
     */
    alarmEmail: v.optional(rules.emailAddress),

    /**
     * URL of your team's copy of docs/runbook.md. Alarms link to it as well as to the dashboard, which contains the runbook too.
     * @default - none: alarms link only to the dashboard
     */
    runbookUrl: v.optional(rules.address('an address such as https://wiki.example.com/runbook, without #')),

    /**
     * EventBridge bus for the events to other teams: its name in this account, or its ARN. It must exist.
     * @default 'default'
     */
    eventBus: v.optional(rules.eventBusNameOrArn, 'default'),

    /**
     * Complete ARN of an existing secret with the Spotify client. If it is encrypted with a customer managed key, that key's
     * policy must let the functions decrypt.
     * @default - the stack creates one, empty
     */
    spotifySecretArn: v.optional(rules.secretArn),

    /**
     * Complete ARN of an existing secret with Supabase's key. The same applies to its encryption.
     * @default - the stack creates one, empty
     */
    supabaseSecretArn: v.optional(rules.secretArn),

    /**
     * Custom domain of the API. Its DNS record must point to the output `DomainTarget`.
     * @default - the domain that AWS generates
     */
    domainName: v.optional(rules.domain),

    /**
     * Certificate for `domainName` in AWS Certificate Manager, in the region of the stack.
     * @default - none: needed with `domainName` only
     */
    certificateArn: v.optional(rules.certificateArn),

    /**
     * Tags of the stack and its resources.
     * @default - none
     */
    tags: v.optional(rules.tags),

    /**
     * Whether CloudFormation refuses to delete the stack.
     * @default false
     */
    terminationProtection: v.optional(v.boolean(rules.mustBe('true or false')), false),

    /**
     * Managed policy that limits the stack's roles (their permissions boundary): its name in this account, or its ARN.
     * @default - none
     */
    permissionsBoundary: v.optional(rules.policyNameOrArn),

    /**
     * Qualifier of the bootstrap stack that deploys this stage, as given to `cdk bootstrap`.
     * @default - the CDK's own, `hnb659fds`
     */
    bootstrapQualifier: v.optional(rules.bootstrapQualifier),
  },
  // The message does not repeat the value of an unknown key: it may be a secret that was meant to be configured.
  (): string => `is not a setting, use one of ${Object.keys(stageSettings.entries).join(', ')}`,
);

/** All settings of one stage. Constructs pick those that they need. */
export type StageSettings = v.InferOutput<typeof stageSettings>;
