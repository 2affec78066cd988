import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Browser, BrowserContext, Page, Route } from 'playwright-core';
import { type Demo, startDemo } from '../../demo/demo-server.ts';
import { type ConnectedUser, TestStack } from '../e2e/test-stack.ts';
import { type FoundBrowser, launchBrowser } from './browser.ts';

const browsers = browsersForTests();

/**
 * Describes something with the running stack and its demo page, and makes sure that no page of a test complained on its
 * console; `mayRequestsFail` lets it say that requests failed, as they do wherever a test switches a fault on.
 *
 * npm brings a browser for Linux on x64. On another machine without one, this fails and says what to do: what was not
 * tested must not look as if it had passed.
 */
export function describeInBrowser(
  name: string,
  { mayRequestsFail }: { readonly mayRequestsFail: boolean },
  describeTests: (stack: () => DemoStack) => void,
): void {
  if (browsers.length === 0) {
    test(name, () => {
      throw new Error('there is no Chromium: install Chrome or Chromium, or name one in CHROMIUM_PATH');
    });
    return;
  }
  describe.each(browsers)(`${name}, in $origin`, (browser) => {
    let stack: DemoStack;

    beforeAll(async () => {
      stack = await DemoStack.start(browser);
    });

    afterEach(async () => {
      const { failedRequests, others } = await stack.endPages();
      expect({ failedRequests: mayRequestsFail ? [] : failedRequests, others }).toEqual({
        failedRequests: [],
        others: [],
      });
    });

    afterAll(() => stack.stop());

    describeTests(() => stack);
  });
}

export interface Credentials {
  readonly email: string;
  readonly password: string;
}

/** What the browser itself reports of an answer that is no success: expected wherever a fault is switched on. */
const FAILED_REQUEST = /^Failed to load resource:|blocked by CORS policy/;

/** The running stack with its demo page, and a browser to look at it. */
export class DemoStack {
  readonly test: TestStack;
  readonly demo: Demo;
  readonly #browser: Browser;
  readonly #running: AsyncDisposableStack;
  readonly #contexts: BrowserContext[] = [];
  readonly #complaints: string[] = [];

  private constructor(test: TestStack, demo: Demo, browser: Browser, running: AsyncDisposableStack) {
    this.test = test;
    this.demo = demo;
    this.#browser = browser;
    this.#running = running;
  }

  static async start(found: FoundBrowser): Promise<DemoStack> {
    // Stops what has been started where a later part fails to.
    await using started = new AsyncDisposableStack();
    const browser = await launchBrowser(found);
    started.defer(() => browser.close());
    let demo: Demo | undefined;
    const test = await TestStack.start({
      hasSampleUsers: true,
      onLog: (source, line) => demo?.log(source, line),
    });
    started.defer(() => test.stop());
    demo = await startDemo(test.stack, 0);
    started.defer(demo.stop);
    return new DemoStack(test, demo, browser, started.move());
  }

  async stop(): Promise<void> {
    await this.#running.disposeAsync();
  }

  /** A page of a browser that was never here. */
  async newPage(options: Parameters<Browser['newContext']>[0] = {}): Promise<Page> {
    // Without one, a browser on a system without a locale names its language in a way that Intl refuses.
    const context = await this.#browser.newContext({ locale: 'en-GB', ...options });
    context.setDefaultTimeout(15_000);
    this.#contexts.push(context);
    context.on('console', (message) => {
      if (message.type() !== 'error' && message.type() !== 'warning') return;
      this.#complaints.push(describeComplaint(message.text(), message.location().url, message.page()));
    });
    context.on('weberror', (error) => {
      const page = error.page();
      this.#complaints.push(describeComplaint(String(error.error()), page?.url() ?? '', page));
    });
    return context.newPage();
  }

  /** A page of a browser that was never here, on which this user signs in. */
  async newPageOf(user: Credentials, options: Parameters<Browser['newContext']>[0] = {}): Promise<Page> {
    const page = await this.newPage(options);
    await page.goto(this.demo.url);
    await signIn(page, user);
    return page;
  }

  /** Ends all faults, closes every page, and returns what these have written to their consoles. */
  async endPages(): Promise<{ readonly failedRequests: string[]; readonly others: string[] }> {
    for (const service of ['spotify', 'database']) {
      await fetch(`${this.demo.url}/panel/${service}`, { method: 'PUT', body: '{"condition":"up"}' });
    }
    await this.test.sql('update spotify_auth.shared_state set not_before = null');
    await Promise.all(this.#contexts.splice(0).map((context) => context.close()));
    const complaints = this.#complaints.splice(0);
    return {
      failedRequests: complaints.filter((text) => FAILED_REQUEST.test(text)),
      others: complaints.filter((text) => !FAILED_REQUEST.test(text)),
    };
  }

  /** A user who connected Spotify a month ago, and whose token has so long left. */
  async createConnectedUser(expiresInSeconds = 3_000): Promise<ConnectedUser & Credentials> {
    const user = await this.createUser();
    return { ...user, ...(await this.test.reconnect(user.id, user.email, expiresInSeconds)) };
  }

  /** A user who never connected Spotify. */
  async createUser(): Promise<Credentials & { readonly id: string }> {
    const user = { email: `${randomUUID()}@example.com`, password: 'correct horse' };
    return { ...user, id: await this.test.stack.supabase.createUser(user.email, user.password) };
  }

  /** Matches the addresses of status calls. */
  get statusCalls(): string {
    return `${this.test.stack.cloud.apiUrl}/**`;
  }
}

/** What the global setup has found. @throws where it has not run, lest the tests be skipped for that */
function browsersForTests(): readonly FoundBrowser[] {
  const text = process.env['BROWSERS_FOR_TESTS'];
  if (text === undefined) throw new Error("run these tests by jest's project browser, which finds a browser");
  return JSON.parse(text);
}

/** Names what was complained about, the page and the test: an answer that failed has an address of its own. */
function describeComplaint(text: string, address: string, page: Page | null): string {
  const { currentTestName = '' } = expect.getState();
  return `${text} | address: ${address} | page: ${page?.url() ?? 'none'} | test: ${currentTestName}`;
}

/** Presses a button of the page. */
export async function press(page: Page, name: string): Promise<void> {
  await page.getByRole('button', { name, exact: true }).click();
}

/** Signs a user in through the page's form. */
export async function signIn(page: Page, { email, password }: Credentials): Promise<void> {
  await page.getByLabel('E-mail').fill(email);
  await page.getByLabel('Password').fill(password);
  await press(page, 'Sign in');
}

/** Resolves once the page says so, in the words that stand above everything else. */
export async function headingAppears(page: Page, text: string): Promise<void> {
  await page.getByRole('heading', { level: 1, name: text, exact: true }).waitFor();
}

/** Holds requests back, from now on. @returns lets those go that were held, and all that follow */
export async function holdBack(page: Page, url: string | RegExp): Promise<() => Promise<void>> {
  const held: Route[] = [];
  let isHolding = true;
  await page.context().route(url, (route) => (isHolding ? void held.push(route) : route.continue()));
  return async () => {
    isHolding = false;
    // The page may have given some of them up.
    await Promise.all(held.map((route) => route.continue().catch(() => {})));
  };
}

/** Keeps every heading that the page shows from its next load on, however short. @returns reads those of this load */
export async function recordHeadings(page: Page): Promise<() => Promise<readonly string[]>> {
  await page.addInitScript(`
    window.headings = [];
    new MutationObserver(() => {
      const text = document.querySelector('h1')?.textContent;
      if (text && text !== window.headings.at(-1)) window.headings.push(text);
    }).observe(document, { subtree: true, childList: true, characterData: true });
  `);
  return () => page.evaluate<string[]>('window.headings');
}
