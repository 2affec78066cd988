import type { Findings } from './breaker-simulation.ts';

/** A scenario of some size, and what came of it. */
export type ScenarioRow = {
  readonly scenario: string;
  readonly users: number;
  readonly findings: Findings;
};

const COLUMNS: Readonly<Record<string, (row: ScenarioRow) => string>> = {
  scenario: ({ scenario }) => scenario,
  connections: ({ users }) => users.toLocaleString('en'),
  'told to reconnect though alive: users, longest, sum': ({ findings: { living } }) =>
    living.told === 0 ? '0' : `${living.told}, ${time(living.told_longest)}, ${time(living.told_sum)}`,
  'alive, token run out: longest': ({ findings: { living } }) => time(living.run_out_longest),
  'dead: told, not told': ({ findings: { dead } }) =>
    dead.refused === 0 ? '' : `${dead.refused - dead.untold}, ${dead.untold}`,
  'told after the first refusal: median, longest': ({ findings: { dead } }) =>
    dead.told_after_median === null
      ? ''
      : `${time(dead.told_after_median)}, ${time(dead.told_after_longest)}`,
  'breaker: opened at, open for': ({ findings: { breaker } }) =>
    breaker.opened_at === null
      ? 'stayed closed'
      : `${time(breaker.opened_at)}, ${time(breaker.open_for)}${breaker.is_open ? ', still open' : ''}`,
  'sweeps that found nearly all refused': ({ findings: { sweeps } }) =>
    `${sweeps.nearly_all_revoked} of ${sweeps.sweeps}`,
  'all well after the end': ({ findings: { living, not_connected } }) =>
    not_connected > 0 ? `no: ${not_connected} are not` : time(living.recovered_after),
  'status calls: wrong, unexplained, of': ({ findings: { status } }) =>
    `${status.wrong}, ${status.unexplained}, ${status.calls}`,
};

/** What came of scenarios as a Markdown table. */
export function formatScenarios(rows: readonly ScenarioRow[]): string {
  const names = Object.keys(COLUMNS);
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [
    line(names),
    line(names.map(() => '---')),
    ...rows.map((row) => line(Object.values(COLUMNS).map((cell) => cell(row)))),
  ].join('\n');
}

function time(minutes: number | null): string {
  if (minutes === null) return '';
  return minutes < 100 ? `${Math.round(minutes)} min` : `${Math.round(minutes / 6) / 10} h`;
}
