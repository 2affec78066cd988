import { expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { describeInBrowser, headingAppears, press, recordHeadings } from './demo-stack.ts';

const SUPABASE_DOWN = 'Supabase does not answer. Switch it back on below, or try again in a moment.';
const SERVER_DOWN = 'The demo server does not answer. Check that it is still running, then try again.';

describeInBrowser('the faults of the panel, as the user sees them', { mayRequestsFail: true }, (stack) => {
  /** Throws a switch and waits until it is in force. */
  async function turn(page: Page, name: 'Spotify' | 'Supabase', condition: string, hint: string) {
    await page.getByRole('group', { name }).getByRole('radio', { name: condition, exact: true }).check();
    await page.getByText(hint).waitFor();
  }

  async function expireToken(page: Page) {
    await press(page, 'Expire my token');
    await page.getByText('your token has expired').waitFor();
  }

  const outcomesOf = (userId: string) =>
    stack()
      .test.spotifyCallsFor(userId)
      .map(({ outcome }) => outcome);

  test('a revoked grant is asked about once, and reconnecting mends it', async () => {
    const user = await stack().createConnectedUser();
    const page = await stack().newPageOf(user);
    await headingAppears(page, 'Spotify connected');
    await press(page, 'Revoke my grant');
    await page.getByText('Revoked at Spotify').waitFor();
    await expireToken(page);

    for (const _load of [1, 2, 3]) {
      await page.reload();
      await headingAppears(page, 'Please reconnect Spotify');
    }

    expect(outcomesOf(user.id)).toEqual(['invalid_grant']);
    await press(page, 'Reconnect Spotify');
    await press(page, 'Agree');
    await headingAppears(page, 'Spotify connected');
    await press(page, 'Try my token');
    await page.getByText('Spotify accepts the stored token').waitFor();
  });

  test('the end of six months is recognised once, with a clear way on', async () => {
    const user = await stack().createConnectedUser();
    const page = await stack().newPageOf(user);
    await headingAppears(page, 'Spotify connected');
    await press(page, 'Let six months pass');
    await page.getByText('six months at Spotify are over').waitFor();

    for (const _load of [1, 2]) {
      await page.reload();
      await headingAppears(page, 'Please reconnect Spotify');
    }

    expect(outcomesOf(user.id)).toEqual(['invalid_grant']);
    await page.getByRole('button', { name: 'Reconnect Spotify' }).waitFor();
  });

  test('while Spotify is down "connected" stays, and the token is refreshed when it is back', async () => {
    const user = await stack().createConnectedUser();
    const page = await stack().newPageOf(user);
    await headingAppears(page, 'Spotify connected');
    const headings = await recordHeadings(page);
    await turn(page, 'Spotify', 'down', 'Spotify answers 503');
    await expireToken(page);

    const answered = page.waitForResponse((response) => response.url().includes('/music/status/'));
    await page.reload();
    expect(await (await answered).json()).toMatchObject({ connected: false, retryable: true });
    await page.getByText('not confirmed yet').waitFor();
    expect(await headings()).toEqual(['Spotify connected']);

    await turn(page, 'Spotify', 'up', 'Spotify is back');
    // The hour that passes is also the end of the backoff.
    await expireToken(page);
    await press(page, 'Check again');
    await page.getByText('just refreshed for you').waitFor();
    expect(await headings()).toEqual(['Spotify connected']);
    expect(outcomesOf(user.id).at(-1)).toBe('refreshed');
  });

  test('a browser that knows nothing yet says during an outage that the state is unknown', async () => {
    const user = await stack().createConnectedUser(-60);
    stack().test.stack.spotify.setFault({ kind: 'status', status: 503 });

    const page = await stack().newPageOf(user);

    await headingAppears(page, 'Spotify can’t be checked right now');
    expect(await page.getByRole('button', { name: /onnect Spotify/ }).count()).toBe(0);
  });

  test('when Spotify rate-limits, one call is enough to hold back all others', async () => {
    const user = await stack().createConnectedUser();
    const page = await stack().newPageOf(user);
    await headingAppears(page, 'Spotify connected');
    const headings = await recordHeadings(page);
    await turn(page, 'Spotify', 'rate-limits (429)', 'Spotify answers 429');
    await expireToken(page);
    await page.reload();
    await page.getByText('has asked for a pause').waitFor();

    const answered = page.waitForResponse((response) => response.url().includes('/music/status/'));
    await press(page, 'Check again');
    await answered;

    expect(outcomesOf(user.id)).toEqual(['429']);
    expect(await headings()).toEqual(['Spotify connected']);
  });

  test('while the database is down "connected" stays, and is confirmed when it is back', async () => {
    const page = await stack().newPageOf(await stack().createConnectedUser());
    await headingAppears(page, 'Spotify connected');
    const headings = await recordHeadings(page);
    await turn(page, 'Supabase', 'down', 'Supabase answers 503');

    const answered = page.waitForResponse(
      (response) => response.url().includes('/music/status/') && response.status() === 503,
    );
    await page.reload();
    await answered;
    await page.getByText('not confirmed yet').waitFor();
    expect(await headings()).toEqual(['Spotify connected']);

    await turn(page, 'Supabase', 'up', 'Supabase is back');
    await press(page, 'Check again');
    await page.getByText('not confirmed yet').waitFor({ state: 'detached' });
    expect(await headings()).toEqual(['Spotify connected']);
  });

  test('what cannot be done while the database is down is said', async () => {
    const page = await stack().newPageOf(await stack().createUser());
    await headingAppears(page, 'Spotify is not connected');
    await press(page, 'Connect Spotify');
    await page.getByRole('button', { name: 'Agree' }).waitFor();
    await stack().test.stack.supabase.setFault({ kind: 'status', status: 503 });

    await press(page, 'Agree');
    await page.getByText('Spotify could not be connected this time').waitFor();
    await press(page, 'Sign out');
    await page.getByText(`${SUPABASE_DOWN} You are still signed in.`).waitFor();
  });

  test('while the database is down a disconnect says so in words, and the connection stays', async () => {
    const page = await stack().newPageOf(await stack().createConnectedUser());
    await headingAppears(page, 'Spotify connected');
    await turn(page, 'Supabase', 'down', 'Supabase answers 503');

    await press(page, 'Disconnect');

    await page.getByRole('alert').getByText(`${SUPABASE_DOWN} Nothing has changed.`).waitFor();
    await headingAppears(page, 'Spotify connected');
  });

  test('signed out, the database can be switched off and on again, and Spotify and the sweep work', async () => {
    const page = await stack().newPage();
    await page.goto(stack().demo.url);
    await turn(page, 'Supabase', 'down', 'Supabase answers 503');
    await press(page, 'fresh');
    await page.getByRole('alert').getByText(SUPABASE_DOWN).waitFor();

    await turn(page, 'Supabase', 'up', 'Supabase is back');
    await turn(page, 'Spotify', 'down', 'Spotify answers 503');
    await turn(page, 'Spotify', 'up', 'Spotify is back');
    await press(page, 'Sweep now');
    await page.getByText(/One is running\.|The last one ended at/).waitFor();
    expect(await page.getByRole('button', { name: 'Expire my token' }).isDisabled()).toBe(true);

    await press(page, 'fresh');
    await headingAppears(page, 'Spotify connected');
  });

  test('offline, what is pressed says that the server does not answer', async () => {
    const page = await stack().newPageOf(await stack().createConnectedUser());
    await headingAppears(page, 'Spotify connected');
    await page.context().setOffline(true);

    await press(page, 'Disconnect');
    await page.getByRole('alert').getByText(SERVER_DOWN).waitFor();
    await press(page, 'Sweep now');
    await page.getByRole('status').getByText(SERVER_DOWN).waitFor();
  });

  test('what a user does to time is done to that user alone', async () => {
    const [mine, other] = await Promise.all([stack().createConnectedUser(), stack().createConnectedUser()]);
    const before = await stack().test.profile(other.id);
    const page = await stack().newPageOf(mine);
    await headingAppears(page, 'Spotify connected');

    await press(page, 'Revoke my grant');
    await page.getByText('Revoked at Spotify').waitFor();
    await press(page, 'Let six months pass');
    await page.getByText('six months at Spotify are over').waitFor();

    expect(await stack().test.profile(other.id)).toEqual(before);
    const { spotify } = stack().test.stack;
    expect(spotify.acceptsAccessToken(other.accessToken)).toBe(true);
    expect(spotify.inspectRefreshToken(other.refreshToken)).toMatchObject({ isAlive: true });
    expect(spotify.inspectRefreshToken(mine.refreshToken)).toMatchObject({ isAlive: false });
  });
});
