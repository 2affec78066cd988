import type { Resource } from '../template.ts';
import type { DashboardBody, DrawnMetric } from './dashboard-body.ts';
import type { AlarmView, DashboardView, SeriesView, WidgetView } from './dashboard-view.ts';
import { evaluateExpression } from './metric-math.ts';
import type { Metrics } from './metrics.ts';
import { computeStatistic } from './statistic.ts';

type Points = SeriesView['points'];

interface Measured {
  readonly unit: string | null;
  readonly points: Points;
}

export interface DashboardSources {
  readonly metrics: Metrics;
  /** @throws where the stack has no such alarm */
  readonly findAlarm: (arn: string) => AlarmView;
}

/** A dashboard of the template, over what was measured on this machine. */
export class Dashboard {
  readonly name: string;
  readonly #body: DashboardBody;
  readonly #sources: DashboardSources;

  constructor({ name, properties }: Resource<'AWS::CloudWatch::Dashboard'>, sources: DashboardSources) {
    this.name = name;
    this.#body = properties.DashboardBody;
    this.#sources = sources;
  }

  /**
   * What it shows.
   *
   * @param at the moment to look back from
   * @param seconds how far graphs go back @default - as the dashboard says
   */
  view(at: Date, seconds: number = this.#body.start): DashboardView {
    const until = at.getTime();
    const from = until - seconds * 1_000;
    const widgets = this.#body.widgets.map((widget) => this.#viewWidget(widget, from, until));
    return { name: this.name, from, until, widgets };
  }

  #viewWidget(widget: DashboardBody['widgets'][number], from: number, until: number): WidgetView {
    const { x, y, width, height } = widget;
    const place = { x, y, width, height };
    switch (widget.type) {
      case 'text':
        return { ...place, type: 'text', markdown: widget.properties.markdown };
      case 'log':
        return { ...place, type: 'log', title: widget.properties.title, query: widget.properties.query };
      case 'alarm': {
        const { title, alarms } = widget.properties;
        return { ...place, type: 'alarm', title, alarms: alarms.map(this.#sources.findAlarm) };
      }
      case 'metric': {
        const { title, view, stacked: isStacked, metrics } = widget.properties;
        return { ...place, type: 'metric', title, view, isStacked, series: this.#draw(metrics, from, until) };
      }
    }
  }

  #draw(metrics: readonly DrawnMetric[], from: number, until: number): SeriesView[] {
    const measured = new Map(metrics.map((drawn) => [drawn, this.#measure(drawn, from, until)]));
    const operands = new Map([...measured].map(([{ id }, { points }]) => [id, new Map(points)]));
    return metrics
      .filter(({ visible }) => visible)
      .map((drawn) => {
        const { label = drawn.expression ?? drawn.metric.name, yAxis: axis, expression } = drawn;
        const { unit, points } = measured.get(drawn) as Measured;
        if (expression === undefined) return { label, axis, unit, points };
        return { label, axis, unit: null, points: workOut(expression, operands) };
      });
  }

  /** Periods begin where the clock says: those of 5 minutes at 12:00, 12:05 and so on. */
  #measure({ metric, period, stat }: DrawnMetric, from: number, until: number): Measured {
    const periodInMillis = period * 1_000;
    const values = new Map<number, number[]>();
    const first = Math.floor(from / periodInMillis) * periodInMillis;
    const datapoints = this.#sources.metrics.datapointsOf(metric, first, until + 1);
    for (const { at, value } of datapoints) {
      const beginning = Math.floor(at / periodInMillis) * periodInMillis;
      const known = values.get(beginning);
      if (known) known.push(value);
      else values.set(beginning, [value]);
    }
    const points = [...values]
      .toSorted(([a], [b]) => a - b)
      .flatMap(([beginning, values]) => {
        const value = computeStatistic(stat, values);
        return value === undefined ? [] : [[beginning, value] as const];
      });
    return { unit: datapoints.at(-1)?.unit ?? null, points };
  }
}

/** The points of metric math: one wherever one of its operands has one. */
function workOut(
  expression: string,
  operands: ReadonlyMap<string | undefined, ReadonlyMap<number, number>>,
): Points {
  const named = [...operands].filter(([id]) => id !== undefined && expression.includes(id));
  const times = new Set(named.flatMap(([, points]) => [...points.keys()]));
  return [...times].toSorted().flatMap((at) => {
    const values = Object.fromEntries(named.map(([id, points]) => [id, points.get(at)]));
    const value = evaluateExpression(expression, values);
    return value === undefined ? [] : [[at, value] as const];
  });
}
