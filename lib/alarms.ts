import { ArnFormat, Duration, Stack, Validations } from 'aws-cdk-lib';
import { ComparisonOperator, MathExpression, Stats, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { type ITopic, Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { type ConnectionMetricName, createConnectionMetric } from './connection-metrics.ts';
import type { RefreshSweeper } from './refresh-sweeper.ts';
import type { RescueQueue } from './rescue-queue.ts';
import { RunbookAlarm, type RunbookAlarmProps } from './runbook-alarm.ts';
import type { StageSettings } from './settings/stage-settings.ts';
import type { StatusApi } from './status-api.ts';

/** Most alarms look at this much at a time, and go off at once. */
const period = Duration.minutes(5);

export interface AlarmsProps
  extends Pick<
    StageSettings,
    'alarmTopicArn' | 'alarmEmail' | 'runbookUrl' | 'sweepIntervalMinutes' | 'sweeperTimeoutSeconds'
  > {
  readonly statusApi: StatusApi;

  readonly refreshSweeper: RefreshSweeper;

  readonly rescueQueue: RescueQueue;
}

/** What wakes somebody: an alarm for each way to fail, and one for not running at all. */
export class Alarms extends Construct {
  /** Hears of every alarm, and of its end. */
  readonly topic: ITopic;

  readonly all: readonly RunbookAlarm[];

  constructor(scope: Construct, id: string, props: AlarmsProps) {
    super(scope, id);
    this.topic =
      props.alarmTopicArn === undefined
        ? this.#createTopic(props.alarmEmail)
        : Topic.fromTopicArn(this, 'Topic', props.alarmTopicArn);

    const { refreshSweeper, rescueQueue, statusApi } = props;
    const sweepInterval = Duration.minutes(props.sweepIntervalMinutes);
    const longestSilence = sweepInterval.plus(Duration.seconds(props.sweeperTimeoutSeconds));
    const silentPeriods = Math.ceil(longestSilence.toSeconds() / period.toSeconds());

    const createAlarm = (
      id: string,
      anchor: string,
      rule: Omit<RunbookAlarmProps, 'runbookSection' | 'topic' | 'evaluationPeriods'> & {
        /** @default 1 */
        readonly evaluationPeriods?: number;
      },
    ) =>
      new RunbookAlarm(this, id, {
        evaluationPeriods: 1,
        treatMissingData: TreatMissingData.NOT_BREACHING,
        ...rule,
        runbookSection: `${props.runbookUrl}#${anchor}`,
        topic: this.topic,
      });
    const count = (name: ConnectionMetricName) =>
      createConnectionMetric(this, name, { statistic: Stats.SUM, period });
    const takeHighest = (name: ConnectionMetricName) =>
      createConnectionMetric(this, name, { statistic: Stats.MAXIMUM, period });
    const countWaiting = (queue: IQueue) =>
      queue.metricApproximateNumberOfMessagesVisible({ statistic: Stats.MAXIMUM, period });

    this.all = [
      createAlarm('SweepFailed', 'sweep-failed', {
        meaning: 'A sweep was given up after its retries.',
        metric: refreshSweeper.function.metric('AsyncEventsDropped', { statistic: Stats.SUM, period }),
        threshold: 1,
      }),
      createAlarm('NoScheduledSweepFinished', 'no-scheduled-sweep-finished', {
        meaning: `No sweep that the schedule started has finished for ${silentPeriods * period.toMinutes()} minutes.`,
        metric: count('scheduledSweepFinished'),
        comparisonOperator: ComparisonOperator.LESS_THAN_THRESHOLD,
        threshold: 1,
        evaluationPeriods: silentPeriods,
        // Silence is the very thing that this one listens for, but not that of a stage which has just been deployed.
        treatMissingData: TreatMissingData.BREACHING,
        warmUp: Duration.minutes(silentPeriods * period.toMinutes()),
      }),
      createAlarm('TokensExpired', 'tokens-expired', {
        meaning: 'Tokens of several connected users had run out when a sweep ended.',
        metric: takeHighest('expired'),
        // One or two users can do this to themselves, with values that they write into their own rows.
        threshold: 3,
        // Written once per sweep: in between, it is as it was.
        treatMissingData: TreatMissingData.IGNORE,
      }),
      createAlarm('BreakerOpen', 'revocation-breaker-open', {
        meaning: 'Spotify calls so many grants revoked at once that it is not believed.',
        metric: takeHighest('breakerOpen'),
        threshold: 1,
        treatMissingData: TreatMissingData.IGNORE,
      }),
      createAlarm('NearlyAllGrantsRevoked', 'nearly-all-grants-revoked', {
        meaning: "Spotify refuses nearly every grant, as if the credentials were another app's.",
        metric: takeHighest('nearlyAllRevoked'),
        threshold: 1,
        treatMissingData: TreatMissingData.IGNORE,
      }),
      createAlarm('ClientRejected', 'client-rejected', {
        meaning: 'Spotify refuses our client, so nothing is refreshed.',
        metric: count('clientRejected'),
        threshold: 1,
      }),
      createAlarm('SupabaseKeyRejected', 'supabase-key-rejected', {
        meaning: 'Supabase refuses our key, so nothing is refreshed and the status call answers 503.',
        metric: count('supabaseKeyRejected'),
        threshold: 1,
      }),
      createAlarm('SweepsInDeadLetterQueue', 'sweeps-in-the-dead-letter-queue', {
        meaning: 'Sweeps that failed for good wait for somebody to look at them.',
        metric: countWaiting(refreshSweeper.deadLetterQueue),
        threshold: 1,
      }),
      createAlarm('RescuedTokensInDeadLetterQueue', 'rescued-tokens-in-their-dead-letter-queue', {
        meaning: 'Rescued tokens, perhaps the only living ones of their users, could not be stored.',
        metric: countWaiting(rescueQueue.deadLetterQueue),
        threshold: 1,
      }),
      createAlarm('ProfilesRefuseTokens', 'profiles-refuse-tokens', {
        meaning: "A constraint or trigger of Bondhu's refuses the tokens of some users.",
        metric: count('profilesRefused'),
        threshold: 1,
      }),
      createAlarm('ApiErrors', 'api-errors', {
        meaning: 'More than 5 % of the status calls are answered with 5xx.',
        metric: new MathExpression({
          expression: '100 * errors / requests',
          label: '5xx answers, %',
          usingMetrics: {
            errors: statusApi.api.metricServerError({ statistic: Stats.SUM }),
            requests: statusApi.api.metricCount({ statistic: Stats.SUM }),
          },
          period,
        }),
        comparisonOperator: ComparisonOperator.GREATER_THAN_THRESHOLD,
        threshold: 5,
        evaluationPeriods: 3,
      }),
      createAlarm('ApiLatency', 'api-latency', {
        meaning: 'One status call in twenty takes longer than 3 seconds.',
        metric: statusApi.api.metricLatency({ statistic: Stats.percentile(95), period }),
        comparisonOperator: ComparisonOperator.GREATER_THAN_THRESHOLD,
        threshold: 3000,
        evaluationPeriods: 3,
      }),
      createAlarm('EventsNotSent', 'events-not-sent', {
        meaning: 'The event bus takes no events, so other teams do not hear who has to authorize again.',
        metric: createConnectionMetric(this, 'eventsNotSent', {
          statistic: Stats.SUM,
          period: sweepInterval,
        }),
        threshold: 1,
        // The next sweep sends them again.
        evaluationPeriods: 2,
      }),
    ];
  }

  #createTopic(email: string | undefined): Topic {
    const topic = new Topic(this, 'Topic', { enforceSSL: true });
    // A policy of its own takes the place of the one that lets the whole account publish, CloudWatch included.
    topic.grantPublish(
      new ServicePrincipal('cloudwatch.amazonaws.com', {
        conditions: {
          ArnLike: {
            'aws:SourceArn': Stack.of(this).formatArn({
              service: 'cloudwatch',
              resource: 'alarm',
              resourceName: `${Stack.of(this).stackName}-*`,
              arnFormat: ArnFormat.COLON_RESOURCE_NAME,
            }),
          },
        },
      }),
    );
    if (email !== undefined) {
      Validations.of(topic.addSubscription(new EmailSubscription(email))).acknowledge({
        id: 'Serverless-SNSRedrivePolicy',
        reason: 'A mail that does not arrive has nobody else to tell: the alarm stays on the dashboard.',
      });
    }
    return topic;
  }
}
