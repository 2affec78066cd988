import * as v from 'valibot';
import * as rules from './setting-rules.ts';

/** What a stage may set in `context.stages.<stage>` of cdk.json, and what holds when it does not. */
export const stageSettings = v.strictObject(
  {
    /** Address of the Supabase project whose users this stage serves. */
    supabaseUrl: rules.origin('an address such as https://<project>.supabase.co, without a path'),

    /**
     * What the project writes into the `iss` of its user tokens; any of these counts. A project with a custom domain may
     * write either of its addresses: `doctor` says which.
     * @default - `<supabaseUrl>/auth/v1`
     */
    tokenIssuers: v.optional(rules.addresses),

    /** Origins of the pages that may read the API's answers. */
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
     * Minutes that a sweep is expected to take. The more, the sooner a token is refreshed and the shorter the
     * longest interval.
     * @default 5
     */
    expectedSweepMinutes: v.optional(rules.wholeNumber({ from: 5, to: 30 }), 5),

    /**
     * Connections that the sweeper claims and records at a time.
     * @default 600
     */
    sweepBatchSize: v.optional(rules.wholeNumber({ from: 1, to: 1000 }), 600),

    /**
     * Connections that one invocation of the sweeper is expected to refresh. A sweep with more to do wakes helpers.
     * @default 100000
     */
    sweepConnectionsPerInvocation: v.optional(rules.wholeNumber({ from: 1 }), 100_000),

    /**
     * Helpers that sweep at once, at most. Lambda's own lowest value is 2. With the first invocation of a sweep they have
     * to leave room for status calls in what Lambda runs at once in the account, which is 10 in a new one.
     * @default 2
     */
    sweepMaxConcurrency: v.optional(rules.wholeNumber({ from: 2, to: 1000 }), 2),

    /**
     * Calls to Spotify in a second that sweeps may start, all invocations together. Status calls are not counted.
     * @default - no ceiling: Spotify publishes no figure, and the pace follows its answers
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
     * Minutes before expiry from which a status call refreshes the token. Half of a token's 60 minutes at most: the
     * nearer to all of them, the more page loads refresh a token that is good.
     * @default 5
     */
    statusRefreshMarginMinutes: v.optional(rules.wholeNumber({ from: 1, to: 30 }), 5),

    /**
     * Seconds that a status call may take for its own work. Less than its timeout, so that it always answers.
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
     * Requests per second that the API lets through over time.
     * @default 100
     */
    throttleRequestsPerSecond: v.optional(rules.wholeNumber({ from: 1 }), 100),

    /**
     * Requests that the API lets through at once.
     * @default 200
     */
    throttleBurstRequests: v.optional(rules.wholeNumber({ from: 1 }), 200),

    /**
     * What the functions log: from this level up. `DEBUG` has a line for each token that a sweep refreshed, about 700
     * bytes each time; without it there is a line for each that failed, and the sweep's counts.
     * Nothing above `INFO`, at which Lambda would drop the metrics (docs/decisions/0020-no-log-level-above-info.md).
     * @default 'INFO'
     */
    logLevel: v.optional(rules.logLevel, 'INFO'),

    /**
     * Days that logs are kept: one of the periods that CloudWatch knows.
     * @default 30
     */
    logRetentionDays: v.optional(rules.retentionDays, 30),

    /**
     * Existing SNS topic that hears of alarms, in the region of the stack. Its policy has to let CloudWatch publish.
     * @default - the stack creates one
     */
    alarmTopicArn: v.optional(rules.topicArn),

    /**
     * Address that hears of alarms, once its owner has followed the link that AWS sends there.
     * @default - none: who wants to hear of alarms subscribes to the topic
     */
    alarmEmail: v.optional(rules.emailAddress),

    /**
     * Address of docs/runbook.md where your team reads it. Alarms link it beside the dashboard, which has all of it too.
     * @default - none: alarms link the dashboard alone
     */
    runbookUrl: v.optional(rules.address('an address such as https://wiki.example.com/runbook, without #')),

    /**
     * EventBridge bus that other teams listen to: the name of one of this account, or an ARN. It has to exist.
     * @default 'default'
     */
    eventBus: v.optional(rules.eventBusNameOrArn, 'default'),

    /**
     * Existing secret with the Spotify client, by its complete ARN. Where it is encrypted with a key of yours, the policy
     * of that key has to let the functions decrypt with it.
     * @default - the stack creates one, empty
     */
    spotifySecretArn: v.optional(rules.secretArn),

    /**
     * Existing secret with Supabase's key, by its complete ARN. For its encryption the same holds.
     * @default - the stack creates one, empty
     */
    supabaseSecretArn: v.optional(rules.secretArn),

    /**
     * Domain of the API. A DNS record has to point from it to the output `DomainTarget`.
     * @default - the one that AWS makes up
     */
    domainName: v.optional(rules.domain),

    /**
     * Certificate for `domainName` in AWS Certificate Manager, in the region of the stack.
     * @default - none: needed with `domainName` only
     */
    certificateArn: v.optional(rules.certificateArn),

    /**
     * Tags of the stack and of all that is in it.
     * @default - none
     */
    tags: v.optional(rules.tags),

    /**
     * Whether CloudFormation refuses to delete the stack.
     * @default false
     */
    terminationProtection: v.optional(v.boolean(rules.mustBe('true or false')), false),

    /**
     * Managed policy that bounds what the roles of the stack may do: the name of one of this account, or an ARN.
     * @default - none
     */
    permissionsBoundary: v.optional(rules.policyNameOrArn),

    /**
     * Qualifier of the bootstrap stack that this stage is deployed through, as it was given to `cdk bootstrap`.
     * @default - the CDK's own, `hnb659fds`
     */
    bootstrapQualifier: v.optional(rules.bootstrapQualifier),
  },
  // The value of an unknown key is not repeated: it may be a secret that somebody meant to configure here.
  (): string => `is not a setting, use one of ${Object.keys(stageSettings.entries).join(', ')}`,
);

/** The settings of one stage, complete. Constructs pick those that they need. */
export type StageSettings = v.InferOutput<typeof stageSettings>;
