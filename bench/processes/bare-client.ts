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
  /** Whether to use HTTP/2, over a few connections. @default false: HTTP/1.1, one connection per call */
  readonly http2?: boolean;
}

/** How many connections HTTP/2 uses. */
const HTTP2_CONNECTIONS = 4;

/** The same requests and nothing else: the cost of an HTTP client. */
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
