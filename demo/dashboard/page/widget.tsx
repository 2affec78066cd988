import type {
  AlarmsView,
  LogView,
  MetricsView,
  SeriesView,
  TextView,
  WidgetView,
} from 'cdk-out-local/dashboard-view';
import { memo, type ReactNode } from 'react';
import { formatValue } from './format-value.ts';
import { Graph } from './graph.tsx';
import { renderMarkdown } from './render-markdown.ts';

interface WidgetProps {
  readonly widget: WidgetView;
  /** Milliseconds since the epoch. */
  readonly from: number;
  /** Milliseconds since the epoch. */
  readonly until: number;
}

/** A widget in its place on the grid. */
export function Widget({ widget, from, until }: WidgetProps) {
  const { x, y, width, height } = widget;
  return (
    <section
      className={`widget ${widget.type}`}
      style={{ gridArea: `${y + 1} / ${x + 1} / span ${height} / span ${width}` }}
    >
      {contentOf(widget, from, until)}
    </section>
  );
}

function contentOf(widget: WidgetView, from: number, until: number): ReactNode {
  switch (widget.type) {
    case 'text':
      return <Text markdown={widget.markdown} />;
    case 'alarm':
      return <Alarms {...widget} />;
    case 'log':
      return <Log {...widget} />;
    case 'metric':
      if (widget.view === 'singleValue') return <Figures {...widget} />;
      return (
        <>
          <h2>{widget.title}</h2>
          <Graph series={widget.series} isStacked={widget.isStacked} from={from} until={until} />
        </>
      );
  }
}

const Text = memo(({ markdown }: Pick<TextView, 'markdown'>) => (
  <Scrollable name={markdown.split('\n', 1)[0]?.replace(/^#+ /, '') ?? ''}>
    {/* biome-ignore lint/security/noDangerouslySetInnerHtml: the template's own text, in which HTML is text too */}
    <div dangerouslySetInnerHTML={{ __html: renderMarkdown(markdown) }} />
  </Scrollable>
));

/** As in CloudWatch, what does not fit is scrolled; the keyboard has to reach it. */
function Scrollable({ name, children }: { readonly name: string; readonly children: ReactNode }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: without it the keyboard could not scroll
    // biome-ignore lint/a11y/useSemanticElements: a section in a section of the same name would be one too many
    <div className="scrollable" role="group" aria-label={name} tabIndex={0}>
      {children}
    </div>
  );
}

const STATES = { OK: 'OK', ALARM: 'In alarm', INSUFFICIENT_DATA: 'Insufficient data' } as const;

function Alarms({ title, alarms }: Omit<AlarmsView, 'type'>) {
  return (
    <>
      <h2>{title}</h2>
      <Scrollable name={title}>
        <ul className="alarms">
          {alarms.map(({ name, description, state }) => (
            <li key={name} className={state} title={description}>
              <span className="name">{name}</span>
              <span className="state">{STATES[state]}</span>
            </li>
          ))}
        </ul>
      </Scrollable>
    </>
  );
}

function Log({ title, query }: Omit<LogView, 'type'>) {
  return (
    <>
      <h2>{title}</h2>
      <Scrollable name={title}>
        <pre>{query}</pre>
      </Scrollable>
    </>
  );
}

/** The last value of each metric. */
function Figures({ title, series }: Pick<MetricsView, 'title' | 'series'>) {
  return (
    <>
      <h2>{title}</h2>
      <dl className="figures">
        {series.map((one) => (
          <div key={one.label}>
            <dt>{one.label}</dt>
            <dd>{lastValueOf(one)}</dd>
          </div>
        ))}
      </dl>
    </>
  );
}

function lastValueOf({ points }: SeriesView): string {
  return formatValue(points.at(-1)?.[1]);
}
