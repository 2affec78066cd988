import { expect } from '@jest/globals';
import axe from 'axe-core';
import type { Page } from 'playwright-core';

/**
 * Expects nothing that keeps people out, in light and dark colours, of the best practices neither. The page's context has
 * to have `bypassCSP`: axe is evaluated in the page, which the page's own policy forbids.
 */
export async function expectNoViolations(page: Page): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    // Gone after each load.
    if (!(await page.evaluate("'axe' in window"))) await page.evaluate(axe.source);
    const { violations } = await page.evaluate<axe.AxeResults>("axe.run({ resultTypes: ['violations'] })");
    const found = violations.flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${colorScheme}, ${id}: ${html} ${failureSummary}`),
    );
    expect(found).toEqual([]);
  }
}
