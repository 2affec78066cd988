import { Duration, Validations } from 'aws-cdk-lib';
import {
  ComparisonOperator,
  type IAlarm,
  MathExpression,
  Stats,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch';
import { ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { type ITopic, Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { type ConnectionMetricName, createConnectionMetric } from './connection-metrics.ts';
import type { DashboardAddress } from './dashboard/dashboard-address.ts';
import type { RefreshSweeper } from './refresh-sweeper.ts';
import type { RescueQueue } from './rescue-queue.ts';
import type { Runbook } from './runbook.ts';
import { RunbookAlarm, type RunbookAlarmProps } from './runbook-alarm.ts';
import type { StageSettings } from './settings/stage-settings.ts';
import type { StatusApi } from './status-api.ts';

/** Most alarms evaluate one period of this length. */
const period = Duration.minutes(5);

export interface AlarmsProps
  extends Pick<
    StageSettings,
    'alarmTopicArn' | 'alarmEmail' | 'runbookUrl' | 'sweepIntervalMinutes' | 'sweeperTimeoutSeconds'
  > {
  readonly statusApi: StatusApi;

  readonly refreshSweeper: RefreshSweeper;

  readonly rescueQueue: RescueQueue;

  readonly runbook: Runbook;

  readonly address: DashboardAddress;
}

/** An alarm for each kind of failure, and one for sweeps that do not run at all. */
export class Alarms extends Construct {
  /** Is notified when an alarm goes off, and when it ends. */
  readonly topic: ITopic;

  readonly all: readonly RunbookAlarm[];

  constructor(scope: Construct, id: string, props: AlarmsProps) {
    super(scope, id);
    const ownTopic =
      props.alarmTopicArn === undefined ? new Topic(this, 'Topic', { enforceSSL: true }) : null;
    this.topic = ownTopic ?? Topic.fromTopicArn(this, 'Topic', props.alarmTopicArn as string);

    const { refreshSweeper, rescueQueue, statusApi } = props;
    const sweepInterval = Duration.minutes(props.sweepIntervalMinutes);
    const longestSilence = sweepInterval.plus(Duration.seconds(props.sweeperTimeoutSeconds));
    const silentPeriods = Math.ceil(longestSilence.toSeconds() / period.toSeconds());

    const createAlarm = (
      id: string,
      rule: Omit<
        RunbookAlarmProps,
        'runbook' | 'dashboardUrl' | 'runbookUrl' | 'topic' | 'evaluationPeriods'
      > & {
        /** @default 1 */
        readonly evaluationPeriods?: number;
      },
    ) =>
      new RunbookAlarm(this, id, {
        evaluationPeriods: 1,
        treatMissingData: TreatMissingData.NOT_BREACHING,
        ...rule,
        runbook: props.runbook,
        dashboardUrl: props.address.url,
        runbookUrl: props.runbookUrl,
        topic: this.topic,
      });
    const count = (name: ConnectionMetricName) =>
      createConnectionMetric(this, name, { statistic: Stats.SUM, period });
    const takeHighest = (name: ConnectionMetricName) =>
      createConnectionMetric(this, name, { statistic: Stats.MAXIMUM, period });
    const countWaiting = (queue: IQueue) =>
      queue.metricApproximateNumberOfMessagesVisible({ statistic: Stats.MAXIMUM, period });

    this.all = [
      createAlarm('SweepFailed', {
        meaning: 'Lambda gave up on a sweep after its retries.',
        metric: refreshSweeper.function.metric('AsyncEventsDropped', { statistic: Stats.SUM, period }),
        threshold: 1,
      }),
      createAlarm('NoScheduledSweepFinished', {
        meaning: `No scheduled sweep has finished for ${silentPeriods * period.toMinutes()} minutes.`,
        metric: count('scheduledSweepFinished'),
        comparisonOperator: ComparisonOperator.LESS_THAN_THRESHOLD,
        threshold: 1,
        evaluationPeriods: silentPeriods,
        // This alarm is about silence, but not about that of a newly deployed stage.
        treatMissingData: TreatMissingData.BREACHING,
        warmUp: Duration.minutes(silentPeriods * period.toMinutes()),
      }),
      createAlarm('TokensExpired', {
        meaning: 'Several connected users had expired tokens at the end of a sweep.',
        metric: takeHighest('expired'),
        // One or two users can cause this themselves, with values that they write into their own rows.
        threshold: 3,
        // Written once per sweep: the state stays as it is in between.
        treatMissingData: TreatMissingData.IGNORE,
      }),
      createAlarm('BreakerOpen', {
        meaning: 'Spotify calls so many grants revoked at once that the system does not believe it.',
        metric: takeHighest('breakerOpen'),
        threshold: 1,
        treatMissingData: TreatMissingData.IGNORE,
      }),
      createAlarm('NearlyAllGrantsRevoked', {
        meaning: "Spotify refuses nearly every grant, as if the credentials were another app's.",
        metric: takeHighest('nearlyAllRevoked'),
        threshold: 1,
        treatMissingData: TreatMissingData.IGNORE,
      }),
      createAlarm('ClientRejected', {
        meaning: 'Spotify rejects our client, so nothing is refreshed.',
        metric: count('clientRejected'),
        threshold: 1,
      }),
      createAlarm('SupabaseKeyRejected', {
        meaning: 'Supabase rejects our key, so nothing is refreshed and the status call answers 503.',
        metric: count('supabaseKeyRejected'),
        threshold: 1,
      }),
      createAlarm('SweepsInDeadLetterQueue', {
        meaning: 'Sweeps that failed for good are waiting in the dead-letter queue.',
        metric: countWaiting(refreshSweeper.deadLetterQueue),
        threshold: 1,
      }),
      createAlarm('RescuedTokensInDeadLetterQueue', {
        meaning: 'Rescued tokens, perhaps the only valid ones of their users, could not be stored.',
        metric: countWaiting(rescueQueue.deadLetterQueue),
        threshold: 1,
      }),
      createAlarm('ProfilesRefuseTokens', {
        meaning: "One of Bondhu's constraints or triggers rejects the tokens of some users.",
        metric: count('profilesRefused'),
        threshold: 1,
      }),
      createAlarm('ApiErrors', {
        meaning:
          'More than 5 % of the status calls are answered with 5xx, not counting made-up signing keys.',
        metric: new MathExpression({
          expression: '100 * (errors - FILL(unknown, 0)) / requests',
          label: '5xx answers, %',
          usingMetrics: {
            errors: statusApi.api.metricServerError({ statistic: Stats.SUM }),
            unknown: count('statusKeyUnknown'),
            requests: statusApi.api.metricCount({ statistic: Stats.SUM }),
          },
          period,
        }),
        comparisonOperator: ComparisonOperator.GREATER_THAN_THRESHOLD,
        threshold: 5,
        evaluationPeriods: 3,
      }),
      createAlarm('StatusCallsThrottled', {
        meaning: 'Lambda rejected status calls, because too many functions of the account ran at once.',
        metric: statusApi.function.metricThrottles({ statistic: Stats.SUM, period }),
        threshold: 1,
      }),
      createAlarm('SweepsThrottled', {
        meaning: 'Lambda delayed sweeps, because too many functions of the account ran at once.',
        metric: refreshSweeper.function.metricThrottles({ statistic: Stats.SUM, period }),
        threshold: 1,
      }),
      createAlarm('ApiLatency', {
        meaning: 'One status call in twenty takes longer than 3 seconds.',
        metric: statusApi.api.metricLatency({ statistic: Stats.percentile(95), period }),
        comparisonOperator: ComparisonOperator.GREATER_THAN_THRESHOLD,
        threshold: 3000,
        evaluationPeriods: 3,
      }),
      createAlarm('EventsNotSent', {
        meaning: 'The event bus rejects events, so other teams do not learn which users have to reconnect.',
        metric: createConnectionMetric(this, 'eventsNotSent', {
          statistic: Stats.SUM,
          period: sweepInterval,
        }),
        threshold: 1,
        // The next sweep sends them again.
        evaluationPeriods: 2,
      }),
    ];
    if (ownTopic !== null) {
      letAlarmsPublish(ownTopic, this.all);
      if (props.alarmEmail !== undefined) subscribe(ownTopic, props.alarmEmail);
    }
  }
}

/** Replaces the default policy, which lets the whole account publish, CloudWatch included. */
function letAlarmsPublish(topic: Topic, alarms: readonly IAlarm[]): void {
  topic.grantPublish(
    new ServicePrincipal('cloudwatch.amazonaws.com', {
      // Each by its ARN: a pattern that starts with the stage's name would also match stages whose names start with it.
      conditions: { ArnEquals: { 'aws:SourceArn': alarms.map(({ alarmArn }) => alarmArn) } },
    }),
  );
}

function subscribe(topic: Topic, email: string): void {
  Validations.of(topic.addSubscription(new EmailSubscription(email))).acknowledge({
    id: 'Serverless-SNSRedrivePolicy',
    reason: 'There is nobody else to tell when a mail does not arrive: the alarm stays on the dashboard.',
  });
}
