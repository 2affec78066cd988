import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { join } from 'node:path';
import { getRequestListener } from '@hono/node-server';
import type { OnLog } from 'cdk-out-local';
import { listen } from 'cdk-out-local/listen';
import { Hono } from 'hono';
import { createMiddleware } from 'hono/factory';
import { streamSSE } from 'hono/streaming';
import pg from 'pg';
import * as v from 'valibot';
import type { Stack } from '../local/stack.ts';
import { BondhuOAuth } from '../stand-ins/bondhu/oauth.ts';
import { bundlePage, type PageBundle } from './bundle-page.ts';
import { createDashboardRoutes } from './dashboard/dashboard-routes.ts';
import { LiveView } from './live-view.ts';
import type { FailureCode, PageConfiguration } from './page-configuration.ts';
import { Panel } from './panel.ts';

export interface Demo {
  /** The page's address, which is also the origin that the API lets in. */
  readonly url: string;
  /** The page that draws the template's dashboard. */
  readonly dashboardUrl: string;
  /** Takes the log lines that the live view shows. */
  readonly log: OnLog;
  /** Bundles the page's sources again, for the next load. @throws esbuild's error; the page then stays as it was */
  readonly renewPage: () => Promise<void>;
  stop(): Promise<void>;
}

const CALLBACK_PATH = '/api/v1/agents/music/callback';

/** The part of a user's access token that the server reads. */
const Claims = v.object({ sub: v.pipe(v.string(), v.uuid()), email: v.optional(v.string(), '') });

const Action = v.picklist(['expire-token', 'six-months', 'revoke-grant']);
const SpotifySwitch = v.object({ condition: v.picklist(['up', 'down', 'rate-limited']) });
const DatabaseSwitch = v.object({ condition: v.picklist(['up', 'down']) });

/**
 * Serves the demo page on 127.0.0.1: the page, Bondhu's part in OAuth, the panel and the live view; and the dashboard.
 *
 * @param port a free one serves where it is taken
 */
export async function startDemo(stack: Stack, port: number): Promise<Demo> {
  const { cloud, supabase, spotify, spotifyClient, bondhu, database } = stack;
  let sources = await readPage();
  const dashboard = await createDashboardRoutes(cloud);
  const server = http.createServer();
  const url = `http://127.0.0.1:${await listen(server, port)}`;
  cloud.allowOrigin(url);

  const pool = new pg.Pool({ connectionString: database.ownerUrl, max: 3 });
  // An idle connection that the server ends is replaced at the next query.
  pool.on('error', () => {});
  const oauth = new BondhuOAuth({ spotify, spotifyClient, bondhu, redirectUri: `${url}${CALLBACK_PATH}` });
  const panel = new Panel(stack, pool);
  const liveView = new LiveView({
    pool,
    calls: () => spotify.calls,
    nameOf: supabase.nameOf,
    panel,
    timetable: () => cloud.scheduler.timetables[0],
  });

  const configuration = serialize({
    apiUrl: cloud.apiUrl,
    supabaseUrl: supabase.url,
    supabasePublishableKey: supabase.publishableKey,
    sampleUsers: stack.users.map(({ email, password, state }) => ({ email, password, state })),
  });
  const contentSecurityPolicy = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    'img-src data:',
    `connect-src 'self' ${cloud.apiUrl} ${supabase.url}`,
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; ');

  /** The user whose Supabase access token the request carries. */
  const signedIn = createMiddleware<{ Variables: { userId: string; email: string } }>(
    async (context, next) => {
      const token = /^Bearer (.+)$/i.exec(context.req.header('authorization') ?? '')?.[1] ?? '';
      const claims = v.safeParse(Claims, await supabase.verifyUserToken(token).catch(() => undefined));
      if (!claims.success) return context.json(failed('signed_out'), 401);
      context.set('userId', claims.output.sub);
      context.set('email', claims.output.email);
      return next();
    },
  );

  const app = new Hono();
  app.use(async (context, next) => {
    // One address only: the API lets no other origin in, and no other host name may lead here.
    if (new URL(context.req.url).origin === url) return next();
    const { pathname, search } = new URL(context.req.url);
    return context.redirect(`${url}${pathname}${search}`, 307);
  });
  app.use(async (context, next) => {
    // The switches need no session, but reject requests from other sites' pages.
    const origin = context.req.header('origin') ?? url;
    return origin === url ? next() : context.json(failed('invalid_request'), 403);
  });
  app.use(async (context, next) => {
    await next();
    context.header('cache-control', 'no-store');
  });

  for (const path of ['/', '/entertainment']) {
    app.get(path, (context) =>
      context.html(
        sources.template.replace('{}', () => configuration),
        200,
        { 'content-security-policy': contentSecurityPolicy },
      ),
    );
  }
  app.get('/page.js', (context) => context.body(sources.script, 200, { 'content-type': 'text/javascript' }));
  app.get('/page.css', (context) => context.body(sources.style, 200, { 'content-type': 'text/css' }));

  app.route('/dashboard', dashboard.routes);

  app.post('/api/v1/agents/music/connect', signedIn, (context) =>
    context.json({ authorization_url: oauth.start(context.get('userId'), context.get('email')) }),
  );
  app.get(CALLBACK_PATH, async (context) =>
    context.redirect(await oauth.finish(new URL(context.req.url).searchParams), 303),
  );
  app.post('/api/v1/agents/music/disconnect', signedIn, async (context) => {
    try {
      await bondhu.disconnect(context.get('userId'));
    } catch {
      return context.json(failed('supabase_unavailable'), 503);
    }
    return context.json({});
  });

  app.post('/panel/try-token', signedIn, async (context) =>
    context.json(await panel.tryToken(context.get('userId'))),
  );
  app.post('/panel/sweep', (context) => {
    panel.startSweep();
    return context.json({}, 202);
  });
  app.put('/panel/spotify', async (context) => {
    panel.setSpotify(v.parse(SpotifySwitch, await context.req.json()).condition);
    return context.json({});
  });
  app.put('/panel/database', async (context) => {
    await panel.setDatabase(v.parse(DatabaseSwitch, await context.req.json()).condition);
    return context.json({});
  });
  app.post('/panel/:action', signedIn, async (context) => {
    await panel.act(context.get('userId'), v.parse(Action, context.req.param('action')));
    return context.json({});
  });

  app.get('/live', (context) =>
    streamSSE(context, async (stream) => {
      await new Promise<void>((resolve) => {
        const stopWatching = liveView.watch({
          onSnapshot: (snapshot) =>
            void stream.writeSSE({ event: 'snapshot', data: JSON.stringify(snapshot) }),
          onLogLine: (line) => void stream.writeSSE({ event: 'log', data: JSON.stringify(line) }),
        });
        stream.onAbort(() => {
          stopWatching();
          resolve();
        });
      });
    }),
  );

  app.onError((error, context) =>
    error instanceof v.ValiError || error instanceof SyntaxError
      ? context.json(failed('invalid_request'), 400)
      : context.json(failed('unexpected'), 500),
  );
  server.on('request', getRequestListener(app.fetch, { overrideGlobalObjects: false }));

  return {
    url,
    dashboardUrl: `${url}/dashboard`,
    log: (source, line) => liveView.log(source, line),
    async renewPage() {
      sources = await readPage();
      await dashboard.renewPage();
    },
    async stop() {
      liveView.stop();
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
      await pool.end();
    },
  };
}

async function readPage(): Promise<PageBundle & { readonly template: string }> {
  const [bundle, template] = await Promise.all([
    bundlePage(join(import.meta.dirname, 'page/page')),
    readFile(join(import.meta.dirname, 'page/page.html'), 'utf8'),
  ]);
  return { ...bundle, template };
}

function failed(code: FailureCode): { readonly code: FailureCode } {
  return { code };
}

/** JSON for a script element. */
function serialize(configuration: PageConfiguration): string {
  return JSON.stringify(configuration).replaceAll('<', '\\u003c');
}
