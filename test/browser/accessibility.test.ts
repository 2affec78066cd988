import { expect, test } from '@jest/globals';
import type { Locator } from 'playwright-core';
import { describeInBrowser, headingAppears, holdBack, press, signIn } from './demo-stack.ts';
import { expectNoViolations } from './violations.ts';

describeInBrowser('the page, for everybody', { mayRequestsFail: true }, (stack) => {
  const options = { bypassCSP: true };

  test('axe finds no violation on the way from signing in to a connection', async () => {
    const page = await stack().newPage(options);
    await page.goto(stack().demo.url);
    await signIn(page, { email: 'nobody@example.com', password: 'not the password' });
    await page.getByRole('alert').getByText(/./).waitFor();
    await expectNoViolations(page);

    const letGo = await holdBack(page, stack().statusCalls);
    await signIn(page, await stack().createUser());
    await headingAppears(page, 'Checking Spotify…');
    await expectNoViolations(page);

    await letGo();
    await press(page, 'Connect Spotify');
    await page.getByRole('button', { name: 'Cancel' }).waitFor();
    await expectNoViolations(page);

    await press(page, 'Cancel');
    await page.getByText('You cancelled at Spotify. Nothing has changed.').waitFor();
    await expectNoViolations(page);

    await press(page, 'Connect Spotify');
    await press(page, 'Agree');
    await page.getByText('Welcome back from Spotify.').waitFor();
    await press(page, 'Expire my token');
    await press(page, 'Check again');
    await page.getByText('just refreshed for you').waitFor();
    await expectNoViolations(page);
  });

  test('axe finds no violation where something is wrong', async () => {
    const page = await stack().newPage(options);
    await page.goto(stack().demo.url);
    await press(page, 'before six months');
    await page.getByText(/Yours ends in/).waitFor();
    await expectNoViolations(page);

    await press(page, 'Sign out');
    await press(page, 'past six months');
    await headingAppears(page, 'Please reconnect Spotify');
    await expectNoViolations(page);

    await press(page, 'Sign out');
    stack().test.stack.spotify.setFault({ kind: 'status', status: 429, retryAfter: '60' });
    await signIn(page, await stack().createConnectedUser(-60));
    await headingAppears(page, 'Spotify can’t be checked right now');
    await page.getByText('has asked for a pause').waitFor();
    await page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true");
    await expectNoViolations(page);
  });

  test('the focus stays where the user is, though what had it is gone', async () => {
    const user = await stack().createConnectedUser();
    const page = await stack().newPageOf(user);
    const focused = page.locator(':focus');
    await headingAppears(page, 'Spotify connected');
    expect(await focused.textContent()).toBe('Spotify connected');

    await press(page, 'Disconnect');
    await headingAppears(page, 'Spotify is not connected');
    expect(await focused.textContent()).toBe('Spotify is not connected');
    await page.keyboard.press('Tab');
    expect(await focused.textContent()).toBe('Connect Spotify');

    await press(page, 'Sign out');
    await headingAppears(page, 'Sign in');
    expect(await focused.textContent()).toBe('Sign in');
    await press(page, 'never connected');
    await headingAppears(page, 'Spotify is not connected');
    expect(await focused.textContent()).toMatch(/^(Checking|Spotify)/);
  });

  test('nothing has to be scrolled sideways, however narrow the page is', async () => {
    const page = await stack().newPageOf(await stack().createConnectedUser());
    await headingAppears(page, 'Spotify connected');
    await page.getByRole('listitem').first().waitFor();

    for (const width of [320, 390, 768, 1_440]) {
      await page.setViewportSize({ width, height: 800 });
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
    }
  });

  test('the keyboard alone is enough: sign up, connect, let time pass, sign out', async () => {
    const page = await stack().newPage();
    await page.goto(stack().demo.url);

    /** Presses Tab until the control has the focus, and shows it; at most once around the page. */
    async function tabTo(control: Locator) {
      const focused = control.and(page.locator(':focus-visible'));
      for (let presses = 0; presses < 60; presses += 1) {
        await page.keyboard.press('Tab');
        if ((await focused.count()) === 1) return;
      }
      throw new Error(`Tab never reaches ${control}`);
    }
    const button = (name: string) => page.getByRole('button', { name, exact: true });

    await tabTo(page.getByLabel('E-mail'));
    await page.keyboard.type('keyboard@example.com');
    await tabTo(page.getByLabel('Password'));
    await page.keyboard.type('correct horse');
    await tabTo(button('Sign up'));
    await page.keyboard.press('Enter');
    await headingAppears(page, 'Spotify is not connected');

    await tabTo(button('Connect Spotify'));
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Agree' }).waitFor();
    await tabTo(button('Agree'));
    await page.keyboard.press('Enter');
    await headingAppears(page, 'Spotify connected');

    await tabTo(button('Let six months pass'));
    await page.keyboard.press('Space');
    await page.getByText('six months at Spotify are over').waitFor();
    await tabTo(page.getByRole('group', { name: 'Spotify' }).getByRole('radio', { name: 'up' }));
    await page.keyboard.press('ArrowRight');
    await page.getByText('Spotify answers 503').waitFor();
    await page.keyboard.press('ArrowLeft');
    await page.getByText('Spotify is back').waitFor();

    await tabTo(button('Sign out'));
    await page.keyboard.press('Enter');
    await headingAppears(page, 'Sign in');
  });
});
