import { Pool } from 'undici';
import { answerQuestions } from '../child.ts';
import { measureUsage } from '../usage.ts';

const HEADERS = {
  authorization: `Basic ${Buffer.from('client:secret').toString('base64')}`,
  'content-type': 'application/x-www-form-urlencoded',
};

/** The same requests, and nothing else: what an HTTP client costs that does no more than that. */
const calls = {
  refresh({ tokenUrl, count, concurrency }: { tokenUrl: string; count: number; concurrency: number }) {
    return measureUsage(async () => {
      const { origin, pathname } = new URL(tokenUrl);
      await using pool = disposable(new Pool(origin, { connections: concurrency }));
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
