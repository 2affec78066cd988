import { Duration } from 'aws-cdk-lib';
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
import type { DashboardAddress } from './dashboard/dashboard-address.ts';
import { DashboardMetrics } from './dashboard/dashboard-metrics.ts';
import { createErrorRow } from './dashboard/errors.ts';
import { createHealthRows } from './dashboard/health.ts';
import { createRunbookRows } from './dashboard/runbook-sections.ts';
import { createHeading } from './dashboard/widgets.ts';
import type { LogQueries } from './log-queries.ts';
import type { RefreshSweeper } from './refresh-sweeper.ts';
import type { RescueQueue } from './rescue-queue.ts';
import type { Runbook } from './runbook.ts';
import type { StageSettings } from './settings/stage-settings.ts';
import type { StatusApi } from './status-api.ts';

export interface OperatorDashboardProps
  extends Pick<
    StageSettings,
    'sweepIntervalMinutes' | 'statusMemoryMegabytes' | 'sweeperMemoryMegabytes' | 'runbookUrl'
  > {
  readonly address: DashboardAddress;

  readonly runbook: Runbook;

  readonly statusApi: StatusApi;

  readonly refreshSweeper: RefreshSweeper;

  readonly rescueQueue: RescueQueue;

  readonly alarms: Alarms;

  readonly logQueries: LogQueries;
}

/** Shows at a glance whether connections are alive, and what to do if they are not. */
export class OperatorDashboard extends Construct {
  constructor(scope: Construct, id: string, props: OperatorDashboardProps) {
    super(scope, id);
    const { statusApi, runbook } = props;
    const metrics = new DashboardMetrics(this, props);

    new Dashboard(this, 'Dashboard', {
      dashboardName: props.address.name,
      defaultInterval: Duration.days(1),
      // Keeps the metrics' own periods instead of periods that fit the screen.
      periodOverride: PeriodOverride.INHERIT,
      widgets: [
        createAlarmRow(props),
        ...createHealthRows(metrics),
        [createHeading('Throughput')],
        createThroughputRow(metrics),
        [createHeading('Latency')],
        createLatencyRow(metrics, statusApi),
        [createHeading('Errors')],
        createErrorRow(metrics, props),
        [createHeading('Cost')],
        createCostRow(props),
        ...createRunbookRows(runbook),
      ],
    });
  }
}

function createAlarmRow({ alarms, logQueries, runbookUrl }: OperatorDashboardProps): IWidget[] {
  const lines = [
    '**When an alarm goes off, follow its section of the runbook at the end of this page.**',
    ...(runbookUrl === undefined ? [] : [`Also at ${runbookUrl}`]),
    '',
    '**Saved queries in Logs Insights:**',
    ...logQueries.names,
  ];
  return [
    new AlarmStatusWidget({ title: 'Alarms', alarms: [...alarms.all], width: 14, height: 8 }),
    new TextWidget({ markdown: lines.join('  \n'), width: 10, height: 8 }),
  ];
}
