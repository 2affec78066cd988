/** What a dashboard shows at one moment. Pages import these types too: this file imports nothing but types. */

import type { AlarmState } from './alarm-state.ts';

export interface DashboardView {
  readonly name: string;
  /** Milliseconds since the epoch; graphs begin there. */
  readonly from: number;
  /** Milliseconds since the epoch; graphs end there. */
  readonly until: number;
  readonly widgets: readonly WidgetView[];
}

/** A widget, in units of a grid that is 24 columns wide. */
export type WidgetView = {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
} & (TextView | AlarmsView | MetricsView | LogView);

export interface TextView {
  readonly type: 'text';
  readonly markdown: string;
}

export interface AlarmsView {
  readonly type: 'alarm';
  readonly title: string;
  readonly alarms: readonly AlarmView[];
}

/** An alarm in the state that it was in when it was last evaluated. */
export interface AlarmView {
  readonly name: string;
  readonly description: string;
  readonly state: AlarmState;
}

export interface MetricsView {
  readonly type: 'metric';
  /** Lines over time, or the last value of each metric as a figure. */
  readonly view: 'timeSeries' | 'singleValue';
  readonly title: string;
  /** Whether each line stands on the one before it. */
  readonly isStacked: boolean;
  readonly series: readonly SeriesView[];
}

export interface SeriesView {
  readonly label: string;
  readonly axis: 'left' | 'right';
  /** As it was measured in. Null: nothing was measured yet, without a unit, or it was worked out. */
  readonly unit: string | null;
  /** The beginning of a period in milliseconds since the epoch, and its value; the oldest first, none where nothing was measured. */
  readonly points: readonly (readonly [number, number])[];
}

/** A query of Logs Insights, which this machine does not run. */
export interface LogView {
  readonly type: 'log';
  readonly title: string;
  readonly query: string;
}
