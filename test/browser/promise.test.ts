import { expect, test } from '@jest/globals';
import { describeInBrowser, headingAppears, holdBack, press, recordHeadings, signIn } from './demo-stack.ts';

describeInBrowser('the promise, as the user sees it', { mayRequestsFail: false }, (stack) => {
  test('1. connecting is one consent, from sign-up on', async () => {
    const page = await stack().newPage();
    await page.goto(stack().demo.url);
    await page.getByLabel('E-mail').fill('new@example.com');
    await page.getByLabel('Password').fill('correct horse');
    await press(page, 'Sign up');
    await headingAppears(page, 'Spotify is not connected');

    await press(page, 'Connect Spotify');
    await press(page, 'Agree');

    await headingAppears(page, 'Spotify connected');
    await page.getByText('Welcome back from Spotify.').waitFor();
    await page.getByRole('definition').getByText('new@example.com').waitFor();
    expect(page.url()).toBe(`${stack().demo.url}/entertainment`);
  });

  test('2. the tokens are stored, and Spotify accepts them', async () => {
    const user = await stack().createUser();
    const page = await stack().newPageOf(user);
    await press(page, 'Connect Spotify');
    await press(page, 'Agree');
    await headingAppears(page, 'Spotify connected');

    const profile = await stack().test.profile(user.id);
    const { spotify } = stack().test.stack;
    expect(spotify.acceptsAccessToken(profile.spotify_access_token ?? '')).toBe(true);
    expect(spotify.inspectRefreshToken(profile.spotify_refresh_token ?? '')).toMatchObject({ isAlive: true });
    expect(profile).toMatchObject({ spotify_user_email: user.email, spotify_connected_at: expect.any(Date) });
    await press(page, 'Try my token');
    await page.getByText('Spotify accepts the stored token').waitFor();
  });

  test('3. logging out and in again needs no second consent', async () => {
    const user = await stack().createConnectedUser();
    const page = await stack().newPageOf(user);
    await headingAppears(page, 'Spotify connected');

    await press(page, 'Sign out');
    await headingAppears(page, 'Sign in');
    expect(await page.evaluate('localStorage.length')).toBe(0);
    await signIn(page, user);

    await headingAppears(page, 'Spotify connected');
  });

  test('4. every load of the page asks for the status, once', async () => {
    const page = await stack().newPageOf(await stack().createConnectedUser());
    await headingAppears(page, 'Spotify connected');
    const asked: string[] = [];
    page.on('request', (request) => {
      if (request.method() === 'GET' && request.url().includes('/music/status/')) asked.push(request.url());
    });

    for (const load of [1, 2, 3]) {
      await page.reload();
      await page.getByText('Account').waitFor();
      expect(asked).toHaveLength(load);
    }
  });

  test('5. a token that has run out is refreshed by the load, and the page never says anything else', async () => {
    const user = await stack().createConnectedUser();
    const page = await stack().newPageOf(user);
    await headingAppears(page, 'Spotify connected');
    const headings = await recordHeadings(page);
    await press(page, 'Expire my token');
    await page.getByText('your token has expired').waitFor();
    await press(page, 'Try my token');
    await page.getByText('Spotify refuses the stored token').waitFor();

    await page.reload();
    await page.getByText('just refreshed for you').waitFor();

    expect(await headings()).toEqual(['Spotify connected']);
    expect(
      stack()
        .test.spotifyCallsFor(user.id)
        .map(({ outcome }) => outcome),
    ).toEqual(['refreshed']);
    await press(page, 'Try my token');
    await page.getByText('Spotify accepts the stored token').waitFor();
  });

  test('6. on a reload "Spotify connected" stands there before anything has answered', async () => {
    const page = await stack().newPageOf(await stack().createConnectedUser());
    await headingAppears(page, 'Spotify connected');
    // Everything but the page itself, that is its markup, script and style.
    const letGo = await holdBack(page, /^http:\/\/127\.0\.0\.1:\d+\/(?!$|page\.)/);
    const headings = await recordHeadings(page);
    const answers: string[] = [];
    page.on('response', (response) => answers.push(new URL(response.url()).pathname));

    await page.reload();
    await headingAppears(page, 'Spotify connected');

    expect(answers.sort()).toEqual(['/', '/page.css', '/page.js']);
    expect(await headings()).toEqual(['Spotify connected']);
    await page.getByText('not confirmed yet').waitFor();
    await letGo();
    await page.getByText('not confirmed yet').waitFor({ state: 'detached' });
    expect(await headings()).toEqual(['Spotify connected']);
  });

  test('7. the sweep refreshes a token that would not outlive the next one', async () => {
    const user = await stack().createConnectedUser(20 * 60);
    const page = await stack().newPageOf(user);
    await headingAppears(page, 'Spotify connected');

    await press(page, 'Sweep now');
    await page.getByRole('listitem').getByText('Sweep completed').first().waitFor();

    expect(
      stack()
        .test.spotifyCallsFor(user.id)
        .map(({ outcome }) => outcome),
    ).toEqual(['refreshed']);
    const { spotify_token_expires_at: expiry } = await stack().test.profile(user.id);
    expect(expiry?.getTime()).toBeGreaterThan(Date.now() + 50 * 60_000);
    await press(page, 'Try my token');
    await page.getByText('Spotify accepts the stored token').waitFor();
  });

  test('8. nothing but a revocation or the end of six months asks the user to reconnect', async () => {
    const page = await stack().newPageOf(await stack().createConnectedUser());
    await headingAppears(page, 'Spotify connected');
    const headings = await recordHeadings(page);
    for (const _hour of [1, 2, 3]) {
      await press(page, 'Expire my token');
      await page.getByText('your token has expired').waitFor();
      await page.reload();
      await page.getByText('just refreshed for you').waitFor();
      expect(await headings()).toEqual(['Spotify connected']);
    }

    await press(page, 'Let six months pass');
    await page.getByText('six months at Spotify are over').waitFor();
    await press(page, 'Check again');
    await headingAppears(page, 'Please reconnect Spotify');
    await press(page, 'Reconnect Spotify');
    await press(page, 'Agree');
    await headingAppears(page, 'Spotify connected');

    await press(page, 'Revoke my grant');
    await page.getByText('Revoked at Spotify').waitFor();
    await press(page, 'Check again');
    await headingAppears(page, 'Spotify connected');
    await press(page, 'Expire my token');
    await page.getByText('your token has expired').waitFor();
    await press(page, 'Check again');
    await headingAppears(page, 'Please reconnect Spotify');
    await press(page, 'Reconnect Spotify');
    await press(page, 'Agree');
    await headingAppears(page, 'Spotify connected');
  });
});
