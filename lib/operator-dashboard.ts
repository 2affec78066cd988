import { Aws, Duration, Stack } from 'aws-cdk-lib';
import {
  AlarmStatusWidget,
  Dashboard,
  type IWidget,
  PeriodOverride,
  TextWidget,
} from 'aws-cdk-lib/aws-cloudwatch';
import { Construct } from 'constructs';
import type { Alarms } from './alarms.ts';
import { createLatencyRow, createThroughputRow } from './dashboard/activity.ts';
import { createCostRow } from './dashboard/costs.ts';
import { DashboardMetrics } from './dashboard/dashboard-metrics.ts';
import { createErrorRow } from './dashboard/errors.ts';
import { createHealthRows } from './dashboard/health.ts';
import { createHeading } from './dashboard/widgets.ts';
import type { LogQueries } from './log-queries.ts';
import type { RefreshSweeper } from './refresh-sweeper.ts';
import type { RescueQueue } from './rescue-queue.ts';
import type { StageSettings } from './settings/stage-settings.ts';
import type { StatusApi } from './status-api.ts';

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

  constructor(scope: Construct, id: string, props: OperatorDashboardProps) {
    super(scope, id);
    const { statusApi, alarms, logQueries } = props;
    const metrics = new DashboardMetrics(this, props);

    const dashboardName = Stack.of(this).stackName;
    new Dashboard(this, 'Dashboard', {
      dashboardName,
      defaultInterval: Duration.days(1),
      // The periods of the metrics hold, not those that would fit the width of the screen.
      periodOverride: PeriodOverride.INHERIT,
      widgets: [
        createAlarmRow(alarms, logQueries),
        ...createHealthRows(metrics),
        [createHeading('Throughput')],
        createThroughputRow(metrics),
        [createHeading('Latency')],
        createLatencyRow(metrics, statusApi),
        [createHeading('Errors')],
        createErrorRow(metrics, props),
        [createHeading('What it costs')],
        createCostRow(props),
      ],
    });
    this.url = `https://${Aws.REGION}.console.aws.amazon.com/cloudwatch/home?region=${Aws.REGION}#dashboards/dashboard/${dashboardName}`;
  }
}

function createAlarmRow(alarms: Alarms, logQueries: LogQueries): IWidget[] {
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
