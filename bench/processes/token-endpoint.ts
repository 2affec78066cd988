import { createServer } from 'node:http';
import { createSecureServer } from 'node:http2';
import type { Server } from 'node:net';
import { text } from 'node:stream/consumers';
import { listen } from 'cdk-out-local/listen';
import { answerQuestions } from '../child.ts';

/** How long every answer takes by default. */
const USUAL_LATENCY_MILLISECONDS = 50;

/** A certificate for 127.0.0.1, and its key. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** The common part of HTTP/1.1's and HTTP/2's requests and answers. */
type Exchange = [
  request: AsyncIterable<Buffer>,
  response: {
    writeHead(status: number, headers: Record<string, string>): { end(body: string): unknown };
  },
];

/** Spotify's token endpoint, for successful refreshes only: no rotation, a new access token each time. */
const callsByToken = new Map<string, number>();
let underWay = 0;
let mostUnderWay = 0;
let issued = 0;
let latencyMilliseconds = USUAL_LATENCY_MILLISECONDS;

async function answer(...[request, response]: Exchange): Promise<void> {
  underWay += 1;
  mostUnderWay = Math.max(mostUnderWay, underWay);
  const token = new URLSearchParams(await text(request)).get('refresh_token') ?? '';
  callsByToken.set(token, (callsByToken.get(token) ?? 0) + 1);
  issued += 1;
  const accessToken = `BQ${String(issued).padStart(190, 'x')}`;
  const body = JSON.stringify({
    access_token: accessToken,
    token_type: 'Bearer',
    expires_in: 3_600,
    scope: 'user-read-email',
  });
  setTimeout(() => {
    underWay -= 1;
    response.writeHead(200, { 'content-type': 'application/json' }).end(body);
  }, latencyMilliseconds);
}

const calls = {
  start: () => startAt('http', createServer(answer)),
  /** Over TLS, with HTTP/1.1 and HTTP/2. */
  startSecure: (certificate: Certificate) =>
    startAt('https', createSecureServer({ ...certificate, allowHTTP1: true }, answer)),
  /** Sets how long every answer takes; null: the usual 50 ms. */
  setLatency(milliseconds: number | null) {
    latencyMilliseconds = milliseconds ?? USUAL_LATENCY_MILLISECONDS;
  },
  /** Returns the counts since the last call, and resets them. */
  count() {
    const counts = [...callsByToken.values()];
    const counted = {
      calls: counts.reduce((sum, count) => sum + count, 0),
      /** Calls with a refresh token that was sent before. */
      doubles: counts.reduce((sum, count) => sum + count - 1, 0),
      mostUnderWay,
    };
    callsByToken.clear();
    mostUnderWay = 0;
    return counted;
  },
};

export type TokenEndpoint = typeof calls;

async function startAt(scheme: string, server: Server): Promise<string> {
  return `${scheme}://127.0.0.1:${await listen(server, 0)}/api/token`;
}

answerQuestions(calls);
