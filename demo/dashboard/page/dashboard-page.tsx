import type { AlarmView, DashboardView } from 'cdk-out-local/dashboard-view';
import { useState } from 'react';
import { useDashboard } from './use-dashboard.ts';
import { Widget } from './widget.tsx';

/** How far back graphs can go. Null: as the dashboard says, which is how CloudWatch opens it. */
const RANGES: readonly (readonly [string, number | null])[] = [
  ['15 minutes', 900],
  ['1 hour', 3_600],
  ['3 hours', 10_800],
  ['as in CloudWatch', null],
];

/** The template's dashboard, drawn from what the local stack has measured. */
export function DashboardPage() {
  const [seconds, setSeconds] = useState<number | null>(null);
  const { view, isLost } = useDashboard(seconds);
  return (
    <>
      <header>
        <h1>{view?.name ?? 'Dashboard'}</h1>
        <p>
          What CloudWatch will show: the template’s own dashboard, with what this stack has measured since it
          started. Alarms are evaluated once a minute. <a href="/">Demo page</a>
        </p>
        <fieldset>
          <legend>Graphs go back</legend>
          {RANGES.map(([name, range]) => (
            <label key={name}>
              <input
                type="radio"
                name="range"
                checked={seconds === range}
                onChange={() => setSeconds(range)}
              />
              {name}
            </label>
          ))}
        </fieldset>
        <p role="status">{isLost ? 'The stack does not answer. Is it running?' : view && summarize(view)}</p>
      </header>
      <main>
        {view?.widgets.map((widget) => (
          <Widget key={`${widget.x} ${widget.y}`} widget={widget} from={view.from} until={view.until} />
        ))}
      </main>
    </>
  );
}

function summarize({ widgets }: DashboardView): string {
  const alarms = widgets.flatMap((widget): readonly AlarmView[] =>
    widget.type === 'alarm' ? widget.alarms : [],
  );
  const on = alarms.filter(({ state }) => state === 'ALARM').length;
  if (on === 0) return `None of ${alarms.length} alarms is on.`;
  return `${on} of ${alarms.length} alarms ${on === 1 ? 'is' : 'are'} on.`;
}
