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

  readonly runbook: Runbook;

  readonly address: DashboardAddress;
}

/** What wakes somebody: an alarm for each way to fail, and one for not running at all. */
export class Alarms extends Construct {
  /** Hears of every alarm, and of its end. */
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
        meaning: 'A sweep was given up after its retries.',
        metric: refreshSweeper.function.metric('AsyncEventsDropped', { statistic: Stats.SUM, period }),
        threshold: 1,
      }),
      createAlarm('NoScheduledSweepFinished', {
        meaning: `No sweep that the schedule started has finished for ${silentPeriods * period.toMinutes()} minutes.`,
        metric: count('scheduledSweepFinished'),
        comparisonOperator: ComparisonOperator.LESS_THAN_THRESHOLD,
        threshold: 1,
        evaluationPeriods: silentPeriods,
        // Silence is the very thing that this one listens for, but not that of a stage which has just been deployed.
        treatMissingData: TreatMissingData.BREACHING,
        warmUp: Duration.minutes(silentPeriods * period.toMinutes()),
      }),
      createAlarm('TokensExpired', {
        meaning: 'Several connected users had expired tokens at the end of a sweep.',
        metric: takeHighest('expired'),
        // One or two users can do this to themselves, with values that they write into their own rows.
        threshold: 3,
        // Written once per sweep: in between, it is as it was.
        treatMissingData: TreatMissingData.IGNORE,
      }),
      createAlarm('BreakerOpen', {
        meaning: 'Spotify calls so many grants revoked at once that it is not believed.',
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
        meaning: 'Spotify refuses our client, so nothing is refreshed.',
        metric: count('clientRejected'),
        threshold: 1,
      }),
      createAlarm('SupabaseKeyRejected', {
        meaning: 'Supabase refuses our key, so nothing is refreshed and the status call answers 503.',
        metric: count('supabaseKeyRejected'),
        threshold: 1,
      }),
      createAlarm('SweepsInDeadLetterQueue', {
        meaning: 'Sweeps that failed for good wait for somebody to look at them.',
        metric: countWaiting(refreshSweeper.deadLetterQueue),
        threshold: 1,
      }),
      createAlarm('RescuedTokensInDeadLetterQueue', {
        meaning: 'Rescued tokens, perhaps the only living ones of their users, could not be stored.',
        metric: countWaiting(rescueQueue.deadLetterQueue),
        threshold: 1,
      }),
      createAlarm('ProfilesRefuseTokens', {
        meaning: "A constraint or trigger of Bondhu's refuses the tokens of some users.",
        metric: count('profilesRefused'),
        threshold: 1,
      }),
      createAlarm('ApiErrors', {
        meaning:
          'More than 5 % of the status calls are answered with 5xx, those for made-up signing keys aside.',
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
        meaning: 'Lambda turned status calls away, because too many functions of the account ran at once.',
        metric: statusApi.function.metricThrottles({ statistic: Stats.SUM, period }),
        threshold: 1,
      }),
      createAlarm('SweepsThrottled', {
        meaning: 'Lambda put sweeps off, because too many functions of the account ran at once.',
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
    if (ownTopic !== null) {
      letAlarmsPublish(ownTopic, this.all);
      if (props.alarmEmail !== undefined) subscribe(ownTopic, props.alarmEmail);
    }
  }
}

/** A policy of its own takes the place of the one that lets the whole account publish, CloudWatch included. */
function letAlarmsPublish(topic: Topic, alarms: readonly IAlarm[]): void {
  topic.grantPublish(
    new ServicePrincipal('cloudwatch.amazonaws.com', {
      // Each by its ARN: a pattern that the stage's name begins would take in a stage whose name goes on from there.
      conditions: { ArnEquals: { 'aws:SourceArn': alarms.map(({ alarmArn }) => alarmArn) } },
    }),
  );
}

function subscribe(topic: Topic, email: string): void {
  Validations.of(topic.addSubscription(new EmailSubscription(email))).acknowledge({
    id: 'Serverless-SNSRedrivePolicy',
    reason: 'A mail that does not arrive has nobody else to tell: the alarm stays on the dashboard.',
  });
}
