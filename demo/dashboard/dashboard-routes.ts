import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cloud } from 'cdk-out-local';
import { Hono } from 'hono';
import * as v from 'valibot';
import { bundlePage } from '../bundle-page.ts';

const page = join(import.meta.dirname, 'page');

/** How far back graphs go, at most a week. */
const Range = v.object({
  seconds: v.optional(
    v.pipe(v.string(), v.transform(Number), v.integer(), v.minValue(1), v.maxValue(604_800)),
  ),
});

const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  'img-src data:',
  "connect-src 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

export interface DashboardRoutes {
  /** What is served below `/dashboard`. */
  readonly routes: Hono;
  /** Bundles the page's sources again, for the next load. @throws esbuild's error; the page then stays as it was */
  readonly renewPage: () => Promise<void>;
}

/**
 * The page that draws the template's dashboard from what this machine has measured.
 *
 * @throws esbuild's error where the page's sources have one
 */
export async function createDashboardRoutes({ cloudWatch }: Cloud): Promise<DashboardRoutes> {
  let sources = await readSources();
  const routes = new Hono()
    .get('/', (context) =>
      context.html(sources.html, 200, { 'content-security-policy': CONTENT_SECURITY_POLICY }),
    )
    .get('/page.js', (context) => context.body(sources.script, 200, { 'content-type': 'text/javascript' }))
    .get('/page.css', (context) => context.body(sources.style, 200, { 'content-type': 'text/css' }))
    .get('/view', (context) => {
      const { seconds } = v.parse(Range, context.req.query());
      const [dashboard] = cloudWatch.dashboards;
      if (!dashboard) return context.json({ detail: 'The stack has no dashboard.' }, 404);
      return context.json(dashboard.view(new Date(), seconds));
    });
  return {
    routes,
    async renewPage() {
      sources = await readSources();
    },
  };
}

async function readSources() {
  const [bundle, html] = await Promise.all([
    bundlePage(join(page, 'page')),
    readFile(join(page, 'page.html'), 'utf8'),
  ]);
  return { ...bundle, html };
}
