import axe from 'axe-core';
import type { Page } from 'playwright-core';

/**
 * Looks for what keeps people out, of the best practices too. The page's context has to have `bypassCSP`: axe is evaluated
 * in the page, which the page's own policy forbids.
 *
 * @returns one line for each
 */
export async function violationsOn(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate<axe.AxeResults>('axe.run()');
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`),
  );
}
