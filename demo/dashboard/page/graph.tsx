import type { SeriesView } from 'cdk-out-local/dashboard-view';
import { useEffect, useRef, useState } from 'react';
import uPlot from 'uplot';
import { alignSeries } from './align-series.ts';
import { formatValue } from './format-value.ts';

/** CloudWatch's, in its order. */
const COLOURS = [
  '#1f77b4',
  '#ff7f0e',
  '#2ca02c',
  '#d62728',
  '#9467bd',
  '#8c564b',
  '#e377c2',
  '#7f7f7f',
  '#bcbd22',
  '#17becf',
];

interface GraphProps {
  readonly series: readonly SeriesView[];
  readonly isStacked: boolean;
  /** Milliseconds since the epoch. */
  readonly from: number;
  /** Milliseconds since the epoch. */
  readonly until: number;
}

/** Lines over time, with the units of both axes above and a legend below, which has the values under the pointer. */
export function Graph({ series, isStacked, from, until }: GraphProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  const [pointed, setPointed] = useState<number | null>(null);
  const isDark = useDarkColours();

  const shape = JSON.stringify([isStacked, isDark, series.map(({ label, axis }) => [label, axis])]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: `shape` has all that a graph is made from; data comes below
  useEffect(() => {
    const element = place.current;
    if (!element) return;
    const created = new uPlot(describeGraph(series, isStacked, element, setPointed), [[]], element);
    plot.current = created;
    const observer = new ResizeObserver(() => created.setSize(sizeOf(element)));
    observer.observe(element);
    return () => {
      observer.disconnect();
      created.destroy();
      plot.current = null;
    };
  }, [shape]);

  const { times, values, drawn } = alignSeries(series, isStacked);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a graph that was made anew has no data yet
  useEffect(() => {
    plot.current?.batch(() => {
      plot.current?.setData([times, ...drawn] as uPlot.AlignedData, false);
      plot.current?.setScale('x', { min: from / 1_000, max: until / 1_000 });
    });
  }, [shape, series, from, until]);

  const hasData = times.length > 0;
  return (
    <>
      <p className="units">
        <span>{unitOf(series, 'left')}</span>
        <span>{unitOf(series, 'right')}</span>
      </p>
      <div className="plot" ref={place} role="img" aria-label="Graph; its values are in the legend" />
      {!hasData && <p className="no-data">No data available</p>}
      <ul className="legend">
        {series.map(({ label }, index) => (
          <li key={label}>
            <span className="swatch" style={{ background: colourOf(index) }} />
            {label}{' '}
            <b>
              {formatValue(pointed === null ? values[index]?.findLast(isValue) : values[index]?.[pointed])}
            </b>
          </li>
        ))}
      </ul>
    </>
  );
}

function isValue(value: number | null): value is number {
  return value !== null;
}

function colourOf(index: number): string {
  return COLOURS[index % COLOURS.length] ?? '';
}

/** As CloudWatch writes it above an axis; nothing where the graph has no such axis. */
function unitOf(series: readonly SeriesView[], axis: SeriesView['axis']): string {
  const drawn = series.filter((one) => one.axis === axis);
  if (drawn.length === 0) return '';
  const [unit = null, ...others] = new Set(
    drawn.filter(({ points }) => points.length > 0).map((one) => one.unit),
  );
  return others.length > 0 ? 'Various units' : (unit ?? 'No unit');
}

function describeGraph(
  series: readonly SeriesView[],
  isStacked: boolean,
  element: HTMLElement,
  onPoint: (index: number | null) => void,
): uPlot.Options {
  const { color: ink, borderTopColor: line } = getComputedStyle(element);
  const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
  const range = (_plot: uPlot, min: number | null, max: number | null): uPlot.Range.MinMax => [
    Math.min(0, min ?? 0),
    max !== null && max > 0 ? max * 1.1 : 1,
  ];
  const hasRight = series.some((one) => one.axis === 'right');
  return {
    ...sizeOf(element),
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { show: false } },
    scales: { left: { range }, right: { range } },
    axes: [
      { ...axis, space: 60, values: (_plot, splits) => splits.map(formatTime) },
      { ...axis, scale: 'left', size: 46, values: (_plot, splits) => splits.map(formatValue) },
      ...(hasRight
        ? [
            {
              ...axis,
              scale: 'right',
              side: 1 as const,
              size: 46,
              grid: { show: false },
              values: (_plot: uPlot, splits: number[]) => splits.map(formatValue),
            },
          ]
        : []),
    ],
    series: [
      {},
      ...series.map(({ label, axis: scale }, index) => ({
        label,
        scale,
        stroke: colourOf(index),
        width: 1.5,
        spanGaps: true,
        points: { size: 5, fill: colourOf(index) },
        ...(isStacked && { fill: `${colourOf(index)}80` }),
      })),
    ],
    // A stacked area ends where the one below it begins.
    ...(isStacked && {
      bands: series.slice(1).map((_one, index) => ({ series: [index + 2, index + 1] as [number, number] })),
    }),
    hooks: { setCursor: [({ cursor }) => onPoint(cursor.idx ?? null)] },
  };
}

function formatTime(seconds: number): string {
  return new Date(seconds * 1_000).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });
}

function sizeOf({ clientWidth: width, clientHeight: height }: HTMLElement) {
  return { width, height };
}

/** Canvases do not follow the colours of the page by themselves. */
function useDarkColours(): boolean {
  const query = window.matchMedia('(prefers-color-scheme: dark)');
  const [isDark, setDark] = useState(query.matches);
  useEffect(() => {
    const follow = () => setDark(query.matches);
    query.addEventListener('change', follow);
    return () => query.removeEventListener('change', follow);
  }, [query]);
  return isDark;
}
