import { expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { describeInBrowser, headingAppears, holdBack, press, recordHeadings, signIn } from './demo-stack.ts';

describeInBrowser('the page, used as pages are used', { mayRequestsFail: true }, (stack) => {
  /** A second tab of the same browser. */
  async function openSecondTab(page: Page): Promise<Page> {
    const second = await page.context().newPage();
    await second.goto(stack().demo.url);
    return second;
  }

  test('two tabs agree: disconnecting and connecting in one shows in the other', async () => {
    const first = await stack().newPageOf(await stack().createConnectedUser());
    await headingAppears(first, 'Spotify connected');
    const second = await openSecondTab(first);
    await headingAppears(second, 'Spotify connected');

    await press(first, 'Disconnect');
    await headingAppears(first, 'Spotify is not connected');
    await headingAppears(second, 'Spotify is not connected');

    await press(second, 'Connect Spotify');
    await press(second, 'Agree');
    await headingAppears(second, 'Spotify connected');
    await headingAppears(first, 'Spotify connected');
  });

  test('two tabs agree: signing out in one signs out the other', async () => {
    const first = await stack().newPageOf(await stack().createConnectedUser());
    await headingAppears(first, 'Spotify connected');
    const second = await openSecondTab(first);
    await headingAppears(second, 'Spotify connected');

    await press(first, 'Sign out');

    await headingAppears(first, 'Sign in');
    await headingAppears(second, 'Sign in');
    expect(await second.evaluate('localStorage.length')).toBe(0);
  });

  test('a tab that hears of it signs out before the storage that it shares says so', async () => {
    const first = await stack().newPageOf(await stack().createConnectedUser());
    await headingAppears(first, 'Spotify connected');
    const second = await openSecondTab(first);
    await headingAppears(second, 'Spotify connected');

    await first.evaluate(
      "new BroadcastChannel('bondhu-session').postMessage({ event: 'SIGNED_OUT', session: null })",
    );

    await headingAppears(second, 'Sign in');
  });

  test('on a slow network the page waits without guessing', async () => {
    const user = await stack().createConnectedUser();
    const page = await stack().newPage();
    const headings = await recordHeadings(page);
    const letGo = await holdBack(page, stack().statusCalls);
    await page.goto(stack().demo.url);
    await signIn(page, user);
    await headingAppears(page, 'Checking Spotify…');

    await letGo();

    await headingAppears(page, 'Spotify connected');
    expect(await headings()).toEqual(['Sign in', 'Checking Spotify…', 'Spotify connected']);
  });

  test('an answer for the user before is not shown to the next one', async () => {
    const [before, next] = await Promise.all([stack().createConnectedUser(), stack().createUser()]);
    const page = await stack().newPage();
    const letGo = await holdBack(page, stack().statusCalls);
    await page.goto(stack().demo.url);
    const headings = await recordHeadings(page);
    await page.reload();
    await signIn(page, before);
    await headingAppears(page, 'Checking Spotify…');

    await press(page, 'Sign out');
    await signIn(page, next);
    await headingAppears(page, 'Checking Spotify…');
    await letGo();

    await headingAppears(page, 'Spotify is not connected');
    expect(await headings()).toEqual([
      'Sign in',
      'Checking Spotify…',
      'Sign in',
      'Checking Spotify…',
      'Spotify is not connected',
    ]);
  });

  test('the next user on the same browser never sees what was known of the one before', async () => {
    const [before, next] = await Promise.all([stack().createConnectedUser(), stack().createUser()]);
    const page = await stack().newPageOf(before);
    await headingAppears(page, 'Spotify connected');
    await press(page, 'Sign out');
    await headingAppears(page, 'Sign in');
    const headings = await recordHeadings(page);
    await page.reload();

    await signIn(page, next);

    await headingAppears(page, 'Spotify is not connected');
    expect(await headings()).not.toContain('Spotify connected');
  });

  test('going back and forward reports the landing once and shows the right state', async () => {
    const page = await stack().newPageOf(await stack().createUser());
    await headingAppears(page, 'Spotify is not connected');
    await press(page, 'Connect Spotify');
    await press(page, 'Agree');
    await page.getByText('Welcome back from Spotify').waitFor();

    await page.goBack();
    await page.getByRole('button', { name: 'Agree' }).waitFor();
    await page.goBack();
    await headingAppears(page, 'Spotify connected');
    await page.goForward();
    await page.goForward();

    await headingAppears(page, 'Spotify connected');
    await page.reload();
    await headingAppears(page, 'Spotify connected');
    expect(page.url()).toBe(`${stack().demo.url}/entertainment`);
    expect(await page.getByText('Welcome back from Spotify').count()).toBe(0);
  });

  test('the welcome goes with the connection and the user, and does not come back with them', async () => {
    const user = await stack().createUser();
    const page = await stack().newPageOf(user);
    const welcome = page.getByText('Welcome back from Spotify.');
    const comeBack = async () => {
      await page.getByRole('button', { name: /onnect Spotify$/ }).click();
      await press(page, 'Agree');
      await welcome.waitFor();
    };

    await comeBack();
    await press(page, 'Disconnect');
    await headingAppears(page, 'Spotify is not connected');
    expect(await welcome.count()).toBe(0);

    await comeBack();
    await press(page, 'Sign out');
    await headingAppears(page, 'Sign in');
    await signIn(page, user);
    await headingAppears(page, 'Spotify connected');
    expect(await welcome.count()).toBe(0);
    await press(page, 'Disconnect');

    await comeBack();
    await press(page, 'Let six months pass');
    await page.getByText('six months at Spotify are over').waitFor();
    await press(page, 'Check again');
    await headingAppears(page, 'Please reconnect Spotify');
    expect(await welcome.count()).toBe(0);
  });

  test('a connection that ends in a few days promises nothing, and can be renewed', async () => {
    const page = await stack().newPage();
    await page.goto(stack().demo.url);
    await press(page, 'before six months');
    await page.getByText(/^Spotify connections last six months\. Yours ends in \d days?\.$/).waitFor();
    expect(await page.getByText('nothing for you to do').count()).toBe(0);

    await press(page, 'Reconnect Spotify');
    await press(page, 'Agree');

    await page.getByText(/^There is nothing for you to do until/).waitFor();
  });

  test('a refused consent is said, and nothing is connected', async () => {
    const page = await stack().newPageOf(await stack().createUser());

    await press(page, 'Connect Spotify');
    await press(page, 'Cancel');

    await page.getByText('You cancelled at Spotify. Nothing has changed.').waitFor();
    await headingAppears(page, 'Spotify is not connected');
    expect(page.url()).toBe(`${stack().demo.url}/entertainment`);
  });

  test('an error in the address is put into words and removed, with the rest of the address kept', async () => {
    const page = await stack().newPageOf(await stack().createUser());
    await headingAppears(page, 'Spotify is not connected');
    const markup = '<img src=x onerror=alert(1)>';

    await page.goto(
      `${stack().demo.url}/entertainment?tab=music&spotify_error=${encodeURIComponent(markup)}#top`,
    );

    await page.getByText('Spotify could not be connected this time. Please try again.').waitFor();
    expect(await page.getByText('onerror').count()).toBe(0);
    expect(await page.locator('img').count()).toBe(0);
    expect(page.url()).toBe(`${stack().demo.url}/entertainment?tab=music#top`);
  });

  test('offline, "connected" stays; back online, it is confirmed without a click', async () => {
    const page = await stack().newPageOf(await stack().createConnectedUser());
    await headingAppears(page, 'Spotify connected');
    const headings = await recordHeadings(page);
    await page.reload();
    await page.getByText('Account').waitFor();

    await page.context().setOffline(true);
    await press(page, 'Check again');
    await page.getByText('not confirmed yet').waitFor();
    await page.context().setOffline(false);

    await page.getByText('not confirmed yet').waitFor({ state: 'detached' });
    expect(await headings()).toEqual(['Spotify connected']);
  });

  test('where storage is forbidden, everything works as long as the page is open', async () => {
    const page = await stack().newPage();
    await page.addInitScript(
      "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } })",
    );
    await page.goto(stack().demo.url);

    await signIn(page, await stack().createConnectedUser());

    await headingAppears(page, 'Spotify connected');
  });

  test('a last known state that is corrupt is ignored', async () => {
    const page = await stack().newPageOf(await stack().createConnectedUser());
    await headingAppears(page, 'Spotify connected');
    await page.evaluate(`
      for (const key of Object.keys(localStorage))
        if (key !== 'bondhu-session') localStorage.setItem(key, '{"connected":')
    `);
    const headings = await recordHeadings(page);

    await page.reload();

    await headingAppears(page, 'Spotify connected');
    expect(await headings()).toEqual(['Checking Spotify…', 'Spotify connected']);
  });

  test('an answer that is no JSON leaves the last known state, without a complaint', async () => {
    const page = await stack().newPageOf(await stack().createConnectedUser());
    await headingAppears(page, 'Spotify connected');
    await page.route(stack().statusCalls, (route) =>
      route.fulfill({
        status: 200,
        headers: { 'access-control-allow-origin': '*', 'content-type': 'text/html' },
        body: '<h1>Welcome to the hotel</h1>',
      }),
    );

    await page.reload();

    await headingAppears(page, 'Spotify connected');
    await page.getByText('not confirmed yet').waitFor();
  });
});
