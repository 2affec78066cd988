import { expect, test } from '@jest/globals';
import type { DashboardView, WidgetView } from 'cdk-out-local/dashboard-view';
import type { Page } from 'playwright-core';
import { describeInBrowser } from './demo-stack.ts';
import { expectNoViolations } from './violations.ts';

describeInBrowser('the dashboard', { mayRequestsFail: false }, (stack) => {
  const cloud = () => stack().test.stack.cloud;

  async function openDashboard(
    options: Parameters<ReturnType<typeof stack>['newPage']>[0] = {},
  ): Promise<Page> {
    const page = await stack().newPage({ viewport: { width: 1_400, height: 1_000 }, ...options });
    await page.goto(stack().demo.dashboardUrl);
    await page.locator('.plot canvas').first().waitFor();
    return page;
  }

  function viewDashboard(): DashboardView {
    const [dashboard] = cloud().cloudWatch.dashboards;
    if (!dashboard) throw new Error('the template has no dashboard');
    return dashboard.view(new Date());
  }

  /** The widget with this title. */
  function widget(page: Page, title: string) {
    return page
      .locator('section')
      .filter({ has: page.getByRole('heading', { level: 2, name: title, exact: true }) });
  }

  /** The colours of all points of a graph that are not transparent. */
  function coloursOf(page: Page, title: string): Promise<string[]> {
    return page.evaluate(`{
      const sections = [...document.querySelectorAll('section')];
      const section = sections.find((one) => one.querySelector('h2')?.textContent === ${JSON.stringify(title)});
      const canvas = section.querySelector('canvas');
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      const colours = new Set();
      for (let at = 0; at < data.length; at += 4) {
        if (data[at + 3] === 255) colours.add(data.slice(at, at + 3).join());
      }
      [...colours];
    }`);
  }

  test("draws each widget of the template's dashboard in its place", async () => {
    const page = await openDashboard();
    const { name, widgets } = viewDashboard();
    const sections = await page.locator('section').all();
    const areas = await page.evaluate(
      "[...document.querySelectorAll('section')].map((one) => getComputedStyle(one).gridArea.replaceAll(' ', ''))",
    );

    await page.getByRole('heading', { level: 1, name, exact: true }).waitFor();
    expect(areas).toEqual(
      widgets.map(({ x, y, width, height }) => `${y + 1}/${x + 1}/span${height}/span${width}`),
    );
    expect(widgets.length).toBeGreaterThan(40);
    for (const [index, drawn] of widgets.entries()) {
      const section = sections[index];
      const text = await section?.innerText();
      for (const part of textsOf(drawn)) expect(text).toContain(part);
      const isGraph = drawn.type === 'metric' && drawn.view === 'timeSeries';
      expect(await section?.locator('canvas').count()).toBe(isGraph ? 1 : 0);
    }
  });

  test('shows a metric that was just measured, what is worked out from it, and in which unit', async () => {
    const page = await openDashboard();
    const calls = widget(page, 'Answers of the status call');
    const costs = widget(page, 'Functions, GB-seconds');
    await calls.getByText('connected --', { exact: true }).waitFor();
    await costs.getByText('No data available').waitFor();
    const user = await stack().createConnectedUser();

    expect((await stack().test.status(user.id)).status).toBe(200);
    await calls.getByText('connected 1', { exact: true }).waitFor();
    await calls.getByText('Count', { exact: true }).waitFor();
    await costs.getByText(/^status 0\.\d+$/).waitFor();
    expect(await coloursOf(page, 'Answers of the status call')).toContain('31,119,180');
  });

  test('shows that an alarm has gone off, and that it is over', async () => {
    const page = await openDashboard();
    const { queues, template, cloudWatch } = cloud();
    const alarm = page.getByRole('listitem').filter({ hasText: 'SweepsInDeadLetterQueue' });
    const queue = queues.get(template.outputs['DeadLetterQueueUrl'] ?? '');
    await alarm.getByText('Insufficient data').waitFor();

    queue.send('{}');
    cloudWatch.evaluateAlarms(new Date(Date.now() + 60_000));
    await alarm.getByText('In alarm', { exact: true }).waitFor();
    await page.getByRole('status').getByText('1 of 15 alarms is on.').waitFor();

    for (const { receiptHandle } of queue.receive(1)) queue.delete(receiptHandle);
    cloudWatch.letMinutesPass(10);
    cloudWatch.evaluateAlarms(new Date(Date.now() + 60_000));
    await alarm.getByText('OK', { exact: true }).waitFor();
    await page.getByRole('status').getByText('None of 15 alarms is on.').waitFor();
  });

  test('goes back as far as somebody wants', async () => {
    const page = await openDashboard();
    const asked = page.waitForRequest(/\/dashboard\/view\?seconds=3600$/);
    await page.getByLabel('1 hour').check();

    expect((await (await asked).response())?.status()).toBe(200);
  });

  test('has no violation that axe finds, in light and dark colours', async () => {
    await expectNoViolations(await openDashboard({ bypassCSP: true }));
  });

  test.each([320, 768, 1_440])('at a width of %d px nothing has to be scrolled sideways', async (width) => {
    const page = await openDashboard({ viewport: { width, height: 800 } });
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
  });
});

/** Words that have to be seen of a widget. */
function textsOf(widget: WidgetView): readonly string[] {
  switch (widget.type) {
    case 'text':
      return /\w[\w ]+\w/.exec(widget.markdown) ?? [];
    case 'alarm':
      return [widget.title, ...widget.alarms.map(({ name }) => name)];
    case 'log':
      return [widget.title, widget.query];
    case 'metric':
      return [widget.title, ...widget.series.map(({ label }) => label)];
  }
}
