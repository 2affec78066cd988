import { describe, expect, test } from '@jest/globals';
import type { SeriesView } from 'cdk-out-local/dashboard-view';
import { alignSeries } from '../../demo/dashboard/page/align-series.ts';
import { renderMarkdown } from '../../demo/dashboard/page/render-markdown.ts';

describe('series in one graph', () => {
  const series = ([] as SeriesView['points'][]).concat([
    [
      [1_000, 1],
      [3_000, 2],
    ],
    [[2_000, 5]],
    [],
  ]);
  const views = series.map(
    (points, index): SeriesView => ({
      label: String(index),
      axis: 'left',
      unit: null,
      points,
    }),
  );

  test('share one axis of time, with gaps where a series has no point', () => {
    const values = [
      [1, null, 2],
      [null, 5, null],
      [null, null, null],
    ];
    expect(alignSeries(views, false)).toEqual({ times: [1, 2, 3], values, drawn: values });
  });

  test('stand on each other where they are stacked; one without any point is not drawn', () => {
    expect(alignSeries(views, true).drawn).toEqual([
      [1, 0, 2],
      [1, 5, 2],
      [null, null, null],
    ]);
  });
});

describe('the Markdown of a text widget', () => {
  test('has no HTML, as in CloudWatch', () => {
    expect(renderMarkdown('put <script>alert(1)</script> & <stage>')).toBe(
      '<p>put &lt;script>alert(1)&lt;/script> &amp; &lt;stage></p>\n',
    );
  });

  test("stays below the page's own heading", () => {
    expect(renderMarkdown('# Run`book`\n### Then')).toBe('<h2>Run<code>book</code></h2><h3>Then</h3>');
  });
});
