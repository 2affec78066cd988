import { type IWidget, TextWidget } from 'aws-cdk-lib/aws-cloudwatch';
import type { Runbook, RunbookSection } from '../runbook.ts';

/** Half of the dashboard's width, because long lines are hard to read. */
const WIDTH = 12;

/** The approximate height of the text: a widget that is too low gets a scroll bar. */
const CHARACTERS_PER_LINE = 100;
const LINES_PER_UNIT_OF_HEIGHT = 2;

/** The whole runbook, with two sections side by side. */
export function createRunbookRows({ sections }: Runbook): IWidget[][] {
  return Array.from({ length: Math.ceil(sections.length / 2) }, (_, row) => {
    const beside = sections.slice(2 * row, 2 * row + 2);
    const height = Math.max(...beside.map(estimateHeight));
    return beside.map(({ markdown }) => new TextWidget({ markdown, width: WIDTH, height }));
  });
}

function estimateHeight({ markdown }: RunbookSection): number {
  const paragraphs = markdown.split(/\n\n/).map((paragraph) => {
    const isWrapped = !/^ *(\||```)/m.test(paragraph);
    const lines = isWrapped ? [paragraph] : paragraph.split('\n');
    return 1 + lines.reduce((sum, line) => sum + Math.ceil(line.length / CHARACTERS_PER_LINE), 0);
  });
  return Math.ceil(paragraphs.reduce((sum, lines) => sum + lines, 0) / LINES_PER_UNIT_OF_HEIGHT);
}
