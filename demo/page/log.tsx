import { formatClock } from './times.ts';
import type { NumberedLogLine } from './use-live-view.ts';

/** A row for each thing that happened in a function or at the API. */
export function Log({ lines }: { readonly lines: readonly NumberedLogLine[] }) {
  return (
    <section className="card" aria-labelledby="log-heading">
      <h2 id="log-heading">Log</h2>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region has to be reachable by keyboard */}
      <section className="log" aria-label="Log lines, newest first" tabIndex={0}>
        <ol>
          {lines.map(({ number, at, level, source, what, user, outcome, durationMillis, details }) => (
            <li key={number} className={level.toLowerCase()}>
              <time dateTime={at}>{formatClock(at)}</time>
              <span>{source}</span>
              <span>{what}</span>
              <span>{user}</span>
              <span>{outcome}</span>
              <span>{durationMillis !== null && `${durationMillis} ms`}</span>
              <span className="quiet">{details}</span>
            </li>
          ))}
        </ol>
      </section>
    </section>
  );
}
