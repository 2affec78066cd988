import { Aws, Duration, Stack } from 'aws-cdk-lib';
import {
  AlarmStatusWidget,
  Dashboard,
  GraphWidget,
  type IMetric,
  type IWidget,
  MathExpression,
  PeriodOverride,
  SingleValueWidget,
  Stats,
  TextWidget,
} from 'aws-cdk-lib/aws-cloudwatch';
import type { ILogGroup } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import type { MetricNames } from '../lambda/metric-names.ts';
import type { Alarms } from './alarms.ts';
import { connectionMetric } from './connection-metrics.ts';
import type { LogQueries } from './log-queries.ts';
import type { RefreshSweeper } from './refresh-sweeper.ts';
import type { RescueQueue } from './rescue-queue.ts';
import type { StageSettings } from './settings/stage-settings.ts';
import type { StatusApi } from './status-api.ts';

type Name = keyof typeof MetricNames;

const percentiles = [50, 95, 99];

export interface OperatorDashboardProps
  extends Pick<StageSettings, 'sweepIntervalMinutes' | 'statusMemoryMegabytes' | 'sweeperMemoryMegabytes'> {
  readonly statusApi: StatusApi;

  readonly refreshSweeper: RefreshSweeper;

  readonly rescueQueue: RescueQueue;

  readonly alarms: Alarms;

  readonly logQueries: LogQueries;
}

/** The page that tells at a glance whether connections are kept alive; what it costs comes last. */
export class OperatorDashboard extends Construct {
  /** Address of the dashboard in the AWS console. */
  readonly url: string;

  readonly #props: OperatorDashboardProps;

  constructor(scope: Construct, id: string, props: OperatorDashboardProps) {
    super(scope, id);
    this.#props = props;

    const dashboardName = Stack.of(this).stackName;
    new Dashboard(this, 'Dashboard', {
      dashboardName,
      defaultInterval: Duration.days(1),
      // The periods given below hold, not those that would fit the width of the screen.
      periodOverride: PeriodOverride.INHERIT,
      widgets: [
        this.#alarms(),
        ...this.#health(),
        [heading('Throughput')],
        this.#throughput(),
        [heading('Latency')],
        this.#latency(),
        [heading('Errors')],
        this.#errors(),
        [heading('What it costs')],
        this.#costDrivers(),
      ],
    });
    this.url = `https://${Aws.REGION}.console.aws.amazon.com/cloudwatch/home?region=${Aws.REGION}#dashboards/dashboard/${dashboardName}`;
  }

  #alarms(): IWidget[] {
    const { alarms, logQueries } = this.#props;
    const lines = [
      '**When an alarm goes off, its section of the runbook says what to do:**',
      ...alarms.all.map((alarm) => `[${alarm.node.id}](${alarm.runbookSection})`),
      '',
      '**Saved queries in Logs Insights:**',
      ...logQueries.names,
    ];
    return [
      new AlarmStatusWidget({ title: 'Alarms', alarms: [...alarms.all], width: 14, height: 8 }),
      new TextWidget({ markdown: lines.join('  \n'), width: 10, height: 8 }),
    ];
  }

  #health(): IWidget[][] {
    return [
      [
        new SingleValueWidget({
          title: 'As the last sweep left it',
          metrics: [
            this.#perSweep('connected', Stats.MAXIMUM),
            this.#perSweep('sweepDue', Stats.MAXIMUM, 'due when it began'),
            this.#perSweep('expired', Stats.MAXIMUM),
            this.#perSweep('sweepFailed', Stats.SUM, 'failing'),
            this.#perSweep('reauthorizationRequired', Stats.MAXIMUM, 'have to authorize again'),
            this.#perSweep('reauthorizationsDue', Stats.MAXIMUM, 'have to within 30 days'),
          ],
          width: 24,
          height: 3,
        }),
      ],
      [
        graph('Connections', [
          this.#perSweep('connected', Stats.MAXIMUM),
          this.#perSweep('reauthorizationRequired', Stats.MAXIMUM, 'have to authorize again'),
          this.#perSweep('reauthorizationsDue', Stats.MAXIMUM, 'have to within 30 days'),
        ]),
        graph(
          'Tokens that had run out when a sweep ended',
          [this.#perSweep('expired', Stats.MAXIMUM)],
          [this.#perSweep('oldestOverdueSeconds', Stats.MAXIMUM, 'the oldest, seconds')],
        ),
        graph(
          'Refreshes that failed',
          [
            this.#perSweep('sweepFailed', Stats.SUM, 'all, for now'),
            this.#perSweep('sweepUnavailable', Stats.SUM, 'no usable answer'),
            this.#perSweep('sweepThrottled', Stats.SUM, 'throttled'),
            this.#perSweep('sweepRevoked', Stats.SUM, 'revoked'),
            this.#perSweep('sweepStale', Stats.SUM, 'stale'),
          ],
          [
            this.#perSweep('breakerOpen', Stats.MAXIMUM, 'breaker open'),
            this.#perSweep('nearlyAllRefused', Stats.MAXIMUM, 'nearly all grants refused'),
            this.#perSweep('clientRejected', Stats.SUM, 'Spotify refused our client'),
            this.#perSweep('storeRejected', Stats.SUM, 'Supabase refused our key'),
          ],
        ),
      ],
    ];
  }

  #throughput(): IWidget[] {
    return [
      graph('Sweeps', [
        this.#perSweep('sweepDue', Stats.MAXIMUM, 'due when it began'),
        this.#perSweep('sweepRefreshed', Stats.SUM, 'refreshed'),
        this.#perSweep('sweepRemaining', Stats.MINIMUM, 'remaining'),
        this.#perSweep('scheduledSweepFinished', Stats.SUM, 'scheduled sweeps finished'),
      ]),
      new GraphWidget({
        title: 'Answers of the status call',
        left: [
          this.#count('statusConnected', 'connected'),
          this.#count('statusDegraded', 'connected, degraded'),
          this.#count('statusNotConnected', 'not connected'),
          this.#count('statusReauthorizationRequired', 'has to authorize again'),
          this.#count('statusRefreshFailed', 'token ran out, retryable'),
          this.#count('statusRefused', '400, 401, 403'),
          this.#count('statusUnavailable', '503'),
        ],
        stacked: true,
        width: 8,
      }),
      graph('Events and rescued tokens', [
        this.#count('noticesSent', 'events sent'),
        this.#count('rescueQueued', 'tokens sent to the rescue queue'),
        this.#count('rescueStored', 'tokens stored from it'),
      ]),
    ];
  }

  #latency(): IWidget[] {
    const { api } = this.#props.statusApi;
    return [
      graph(
        'API, ms',
        percentiles.map((p) => api.metricLatency({ statistic: Stats.percentile(p), label: `p${p}` })),
      ),
      graph(
        'Status function, ms',
        percentiles.map((p) =>
          connectionMetric(this, 'statusLatencyMilliseconds', {
            statistic: Stats.percentile(p),
            label: `p${p}`,
          }),
        ),
      ),
      graph('Sweeps, ms', [
        this.#perSweep('sweepDurationMilliseconds', Stats.MAXIMUM, 'longest invocation'),
        this.#perSweep('sweepDurationMilliseconds', Stats.MINIMUM, 'shortest invocation'),
      ]),
    ];
  }

  #errors(): IWidget[] {
    const { statusApi, refreshSweeper, rescueQueue } = this.#props;
    const waitingIn = { statistic: Stats.MAXIMUM };
    return [
      graph('API', [
        statusApi.api.metricServerError({ statistic: Stats.SUM, label: '5xx' }),
        statusApi.api.metricClientError({ statistic: Stats.SUM, label: '4xx' }),
      ]),
      graph('Functions', [
        statusApi.function.metricErrors({ label: 'status failed' }),
        statusApi.function.metricThrottles({ label: 'status throttled' }),
        refreshSweeper.function.metricErrors({ label: 'sweeper failed' }),
        refreshSweeper.function.metricThrottles({ label: 'sweeper throttled' }),
        refreshSweeper.function.metric('AsyncEventsDropped', {
          statistic: Stats.SUM,
          label: 'sweeps given up',
        }),
      ]),
      graph(
        'What somebody has to look at',
        [
          refreshSweeper.deadLetterQueue.metricApproximateNumberOfMessagesVisible({
            ...waitingIn,
            label: 'sweeps in the dead-letter queue',
          }),
          rescueQueue.queue.metricApproximateNumberOfMessagesVisible({
            ...waitingIn,
            label: 'rescued tokens that wait',
          }),
          rescueQueue.deadLetterQueue.metricApproximateNumberOfMessagesVisible({
            ...waitingIn,
            label: 'rescued tokens in their dead-letter queue',
          }),
        ],
        [
          this.#count('rescueFailed', 'tokens lost'),
          this.#count('profilesRefused', "tokens that Bondhu's schema refused"),
          this.#count('noticesFailed', 'events not sent'),
        ],
      ),
      graph("What is wrong in Bondhu's profiles", [
        this.#perSweep('implausibleExpiries', Stats.MAXIMUM, 'expiries that cannot be true'),
        this.#perSweep('sharedTokens', Stats.MAXIMUM, 'connections that share a token'),
        this.#perSweep('missedProfileChanges', Stats.SUM, 'changes that reached the queue late'),
      ]),
    ];
  }

  #costDrivers(): IWidget[] {
    const { statusApi, refreshSweeper, rescueQueue, ...props } = this.#props;
    const sum = { statistic: Stats.SUM };
    const bytesOf = (logGroup: ILogGroup, label: string) =>
      // The CDK leaves the dimension out: its metric is that of all log groups of the account.
      logGroup.metricIncomingBytes({ ...sum, label, dimensionsMap: { LogGroupName: logGroup.logGroupName } });
    const gigabyteSeconds = (name: 'status' | 'sweeper', megabytes: number) => {
      const { function: lambda } = name === 'status' ? statusApi : refreshSweeper;
      const duration = `${name}Milliseconds`;
      return new MathExpression({
        expression: `${duration} / 1000 * ${megabytes / 1024}`,
        usingMetrics: { [duration]: lambda.metricDuration(sum) },
        label: name,
      });
    };
    return [
      graph('Invocations and requests', [
        statusApi.function.metricInvocations({ label: 'status' }),
        refreshSweeper.function.metricInvocations({ label: 'sweeper' }),
        statusApi.api.metricCount({ ...sum, label: 'API requests' }),
        refreshSweeper.sweepQueue.metricNumberOfMessagesSent({ label: 'messages to the sweep queue' }),
        rescueQueue.queue.metricNumberOfMessagesSent({ label: 'messages to the rescue queue' }),
      ]),
      graph('Functions, GB-seconds', [
        gigabyteSeconds('status', props.statusMemoryMegabytes),
        gigabyteSeconds('sweeper', props.sweeperMemoryMegabytes),
      ]),
      graph('Logs, bytes', [
        bytesOf(statusApi.function.logGroup, 'status'),
        bytesOf(refreshSweeper.function.logGroup, 'sweeper'),
        bytesOf(statusApi.accessLogs, 'access'),
      ]),
    ];
  }

  /** A metric that comes about once per sweep: so every point of a graph is one. */
  #perSweep(name: Name, statistic: string, label: string = name): IMetric {
    const period = Duration.minutes(this.#props.sweepIntervalMinutes);
    return connectionMetric(this, name, { statistic, period, label });
  }

  #count(name: Name, label: string): IMetric {
    return connectionMetric(this, name, { statistic: Stats.SUM, label });
  }
}

function heading(text: string): IWidget {
  return new TextWidget({ markdown: `## ${text}`, width: 24, height: 1 });
}

function graph(title: string, left: IMetric[], right: IMetric[] = []): IWidget {
  return new GraphWidget({ title, left, right, width: 8 });
}
