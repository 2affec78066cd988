import { Pool } from 'undici';
import { answerQuestions } from '../child.ts';
import { measureUsage } from '../usage.ts';

const HEADERS = {
  authorization: `Basic ${Buffer.from('client:secret').toString('base64')}`,
  'content-type': 'application/x-www-form-urlencoded',
};

export interface BareRefreshes {
  readonly tokenUrl: string;
  readonly count: number;
  readonly concurrency: number;
  /** Whether they go over few connections with HTTP/2. @default false: one connection each with HTTP/1.1 */
  readonly http2?: boolean;
}

/** Connections over which HTTP/2 sends all requests. */
const HTTP2_CONNECTIONS = 4;

/** The same requests, and nothing else: what an HTTP client costs that does no more than that. */
const calls = {
  refresh({ tokenUrl, count, concurrency, http2 = false }: BareRefreshes) {
    return measureUsage(async () => {
      const { origin, pathname } = new URL(tokenUrl);
      const options = http2
        ? { connections: HTTP2_CONNECTIONS, allowH2: true, pipelining: concurrency }
        : { connections: concurrency, allowH2: false };
      await using pool = disposable(new Pool(origin, options));
      let next = 0;
      await Promise.all(
        Array.from({ length: concurrency }, async () => {
          while (next < count) {
            next += 1;
            const body = `grant_type=refresh_token&refresh_token=bare-${next}`;
            const response = await pool.client.request({
              method: 'POST',
              path: pathname,
              headers: HEADERS,
              body,
            });
            await response.body.json();
          }
        }),
      );
    });
  },
};

export type BareClient = typeof calls;

function disposable(client: Pool) {
  return { client, [Symbol.asyncDispose]: () => client.close() };
}

answerQuestions(calls);
