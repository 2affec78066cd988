import { Marked } from 'marked';

const marked = new Marked({
  renderer: {
    // CloudWatch knows no HTML: a placeholder such as <stage> is text.
    html: ({ text }) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;'),
    // The page has a heading of its own above all of these.
    heading({ tokens, depth }) {
      const level = Math.max(depth, 2);
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>`;
    },
  },
});

/** @returns HTML of a text widget's Markdown, in which nothing but Markdown makes an element */
export function renderMarkdown(markdown: string): string {
  return marked.parse(markdown, { async: false });
}
