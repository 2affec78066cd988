import { type Figure, reaches } from './figure.ts';

/** The figures as a Markdown table that is readable in a terminal too. */
export function formatTable(figures: readonly Figure[]): string {
  const header = ['figure', 'baseline', 'reach at least', 'aim at', 'reached', 'measured'];
  const rows = figures.map((figure) => {
    const { name, baseline, value, better, unit, atLeast, aimAt, measured } = figure;
    const bound = (limit: number) => `${better === 'less' ? '≤ ' : ''}${limit}${unit}`;
    return [
      name,
      baseline,
      bound(atLeast),
      bound(aimAt),
      `${mark(figure)} ${format(value)}${unit}`,
      measured,
    ];
  });
  const widths = header.map((_, column) =>
    Math.max(...[header, ...rows].map((cells) => cells[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  return [line(header), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}

/** ✔ reaches its aim, ○ reaches its "at least", ✘ misses that. */
function mark(figure: Figure): string {
  if (reaches(figure, figure.aimAt)) return '✔';
  return reaches(figure, figure.atLeast) ? '○' : '✘';
}

function format(value: number): string {
  return value >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(2);
}
