import { describe, expect, test } from '@jest/globals';
import axe from 'axe-core';
import type { Locator, Page } from 'playwright-core';
import { describeInBrowser, headingAppears, holdBack, signIn } from './demo-stack.ts';

describeInBrowser('the page, for everybody', { mayRequestsFail: true }, (stack) => {
  /** Looks for violations, of the best practices too. @returns one line for each */
  async function violationsOn(page: Page): Promise<string[]> {
    await page.evaluate(axe.source);
    const { violations } = await page.evaluate<axe.AxeResults>('axe.run()');
    return violations.flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`),
    );
  }

  async function newSampleUserPage(state: string, options: object): Promise<Page> {
    const page = await stack().newPage(options);
    await page.goto(stack().demo.url);
    await page.getByRole('button', { name: state, exact: true }).click();
    return page;
  }

  describe.each(['light', 'dark'] as const)('in %s, without a violation that axe finds', (colorScheme) => {
    // axe is evaluated in the page, which the page's own policy forbids.
    const options = { colorScheme, bypassCSP: true };

    test('signed out', async () => {
      const page = await stack().newPage(options);
      await page.goto(stack().demo.url);
      await headingAppears(page, 'Sign in');
      await page.getByLabel('E-mail').fill('nobody@example.com');
      await page.getByLabel('Password').fill('not the password');
      await page.getByRole('button', { name: 'Sign in', exact: true }).click();
      await page.getByRole('alert').getByText(/./).waitFor();

      expect(await violationsOn(page)).toEqual([]);
    });

    test('connected, with log lines and calls', async () => {
      const page = await newSampleUserPage('without expiry', options);
      await headingAppears(page, 'Spotify connected');
      await page.getByRole('listitem').first().waitFor();

      expect(await violationsOn(page)).toEqual([]);
    });

    test('connected, to be renewed soon', async () => {
      const user = await stack().createConnectedUser();
      await stack().test.sql(
        "update public.profiles set spotify_connected_at = now() - interval '170 days' where id = $1",
        [user.id],
      );
      const page = await stack().newPageOf(user, options);
      await page.getByText(/days left/).waitFor();

      expect(await violationsOn(page)).toEqual([]);
    });

    test('checking', async () => {
      const page = await stack().newPage(options);
      await holdBack(page, stack().statusCalls);
      await page.goto(stack().demo.url);
      await signIn(page, await stack().createUser());
      await headingAppears(page, 'Checking Spotify…');

      expect(await violationsOn(page)).toEqual([]);
    });

    test('disconnected, after a refused consent', async () => {
      const page = await stack().newPageOf(await stack().createUser(), options);
      await headingAppears(page, 'Spotify is not connected yet');
      await page.goto(`${stack().demo.url}/entertainment?spotify_error=access_denied`);
      await page.getByText('access_denied').waitFor();

      expect(await violationsOn(page)).toEqual([]);
    });

    test('to be reconnected', async () => {
      const page = await newSampleUserPage('past six months', options);
      await headingAppears(page, 'Spotify needs you once more');

      expect(await violationsOn(page)).toEqual([]);
    });

    test('unknown, while Spotify limits the rate', async () => {
      stack().test.stack.spotify.setFault({ kind: 'status', status: 429, retryAfter: '60' });
      const page = await stack().newPageOf(await stack().createConnectedUser(-60), options);
      await headingAppears(page, 'Spotify’s state is unknown right now');
      await page.getByText(/nobody calls it before/).waitFor();

      expect(await violationsOn(page)).toEqual([]);
    });

    test("the stand-in's consent page", async () => {
      const page = await stack().newPageOf(await stack().createUser(), options);
      await page.getByRole('button', { name: 'Connect Spotify' }).click();
      await page.getByRole('button', { name: 'Agree' }).waitFor();

      expect(await violationsOn(page)).toEqual([]);
    });
  });

  test.each([320, 768, 1_440])('at a width of %d px nothing has to be scrolled sideways', async (width) => {
    const page = await stack().newPageOf(await stack().createConnectedUser(), {
      viewport: { width, height: 800 },
    });
    await headingAppears(page, 'Spotify connected');
    await page.getByRole('listitem').first().waitFor();

    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
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
    await headingAppears(page, 'Spotify is not connected yet');

    await tabTo(button('Connect Spotify'));
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Agree' }).waitFor();
    await tabTo(button('Agree'));
    await page.keyboard.press('Enter');
    await headingAppears(page, 'Spotify connected');

    await tabTo(button('Let six months pass'));
    await page.keyboard.press('Space');
    await page.getByText('six months are over').waitFor();
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
