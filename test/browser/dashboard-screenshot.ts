import pg from 'pg';
import type { Browser } from 'playwright-core';
import type { Demo } from '../../demo/demo-server.ts';
import { letTimePass } from '../../demo/time-travel.ts';
import type { Stack } from '../../local/stack.ts';

const SWEEP_INTERVAL_MINUTES = 30;
const SWEEPS = 46;
/** So many sweeps before the end, Spotify limits the rate for a while. */
const LIMIT = { begins: 18, ends: 14 };

/** Takes the README's screenshot of the dashboard, after a day in which Spotify limited the rate for two hours. */
export async function takeDashboardScreenshot(
  { browser, stack, demo }: { readonly browser: Browser; readonly stack: Stack; readonly demo: Demo },
  path: string,
): Promise<void> {
  const { cloud, supabase, spotify, users } = stack;
  const pool = new pg.Pool({ connectionString: stack.database.ownerUrl, max: 1 });
  spotify.setFault(undefined);
  await pool.query('update spotify_auth.shared_state set not_before = null');
  const [schedule] = cloud.template.resourcesOfType('AWS::Scheduler::Schedule');
  for (let left = SWEEPS; left > 0; left -= 1) {
    if (left === LIMIT.begins) spotify.setFault({ kind: 'status', status: 429, retryAfter: '1' });
    if (left === LIMIT.ends) spotify.setFault(undefined);
    for (const { id } of users) await letTimePass(id, SWEEP_INTERVAL_MINUTES * 60, { pool, spotify });
    cloud.cloudWatch.letMinutesPass(SWEEP_INTERVAL_MINUTES);
    // Without the retries of one that fails, which would wait for minutes.
    await cloud.lambda.invoke(schedule?.properties.Target.Arn ?? '', {
      command: 'sweep',
      scheduledAt: new Date().toISOString(),
    });
    // More in the evening than at night.
    const callers = users.slice(
      0,
      2 + Math.round((users.length - 2) * Math.abs(Math.sin((left / SWEEPS) * 5))),
    );
    for (const { id, email } of callers) {
      const token = await supabase.signUserToken({ sub: id, email });
      const headers = { authorization: `Bearer ${token}` };
      await fetch(`${cloud.apiUrl}/api/v1/agents/music/status/${id}`, { headers });
    }
    cloud.cloudWatch.evaluateAlarms(new Date());
  }
  await pool.end();
  // Something for somebody to look at, in the night's last minutes.
  cloud.queues.get(cloud.template.outputs['DeadLetterQueueUrl'] ?? '').send('{}');
  cloud.cloudWatch.evaluateAlarms(new Date(Date.now() + 60_000));

  const context = await browser.newContext({ viewport: { width: 1_320, height: 1_180 }, locale: 'en-GB' });
  const page = await context.newPage();
  await page.goto(demo.dashboardUrl);
  await page.getByText('In alarm').waitFor();
  await page.locator('.plot canvas').first().waitFor();
  await page.screenshot({ path });
}
