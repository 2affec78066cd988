import { type IWidget, SingleValueWidget, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import type { DashboardMetrics } from './dashboard-metrics.ts';
import { createGraph } from './widgets.ts';

/** Whether connections are alive: first in numbers, then over time. */
export function createHealthRows(metrics: DashboardMetrics): IWidget[][] {
  return [
    [
      new SingleValueWidget({
        title: 'State after the last sweep',
        metrics: [
          metrics.readPerSweep('connected', Stats.MAXIMUM),
          metrics.readPerSweep('sweepDue', Stats.MAXIMUM, 'due at the start'),
          metrics.readPerSweep('expired', Stats.MAXIMUM),
          metrics.readPerSweep('sweepFailed', Stats.SUM, 'failing'),
          metrics.readPerSweep('reauthorizationRequired', Stats.MAXIMUM, 'have to reconnect'),
          metrics.readPerSweep('reauthorizationsDue', Stats.MAXIMUM, 'have to reconnect within 30 days'),
        ],
        width: 24,
        height: 3,
      }),
    ],
    [
      createGraph('Connections', [
        metrics.readPerSweep('connected', Stats.MAXIMUM),
        metrics.readPerSweep('reauthorizationRequired', Stats.MAXIMUM, 'have to reconnect'),
        metrics.readPerSweep('reauthorizationsDue', Stats.MAXIMUM, 'have to reconnect within 30 days'),
      ]),
      createGraph(
        'Expired tokens at the end of a sweep',
        [metrics.readPerSweep('expired', Stats.MAXIMUM)],
        [metrics.readPerSweep('oldestOverdueSeconds', Stats.MAXIMUM, 'the oldest, seconds')],
      ),
      createGraph(
        'Refreshes that failed',
        [
          metrics.readPerSweep('sweepFailed', Stats.SUM, 'all, for now'),
          metrics.readPerSweep('sweepUnavailable', Stats.SUM, 'no usable answer'),
          metrics.readPerSweep('sweepThrottled', Stats.SUM, 'throttled'),
          metrics.readPerSweep('sweepRevoked', Stats.SUM, 'revoked'),
          metrics.readPerSweep('sweepStale', Stats.SUM, 'stale'),
        ],
        [
          metrics.readPerSweep('breakerOpen', Stats.MAXIMUM, 'breaker open'),
          metrics.readPerSweep('nearlyAllRevoked', Stats.MAXIMUM, 'nearly all grants revoked'),
          metrics.readPerSweep('clientRejected', Stats.SUM, 'Spotify refused our client'),
          metrics.readPerSweep('supabaseKeyRejected', Stats.SUM, 'Supabase refused our key'),
        ],
      ),
    ],
  ];
}
