import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { listen } from 'cdk-out-local/listen';
import { answerQuestions } from '../child.ts';

/** How long every answer takes. */
const LATENCY_MILLISECONDS = 50;

/** Spotify's token endpoint as far as a refresh that succeeds goes: no rotation, every access token a new one. */
const callsByToken = new Map<string, number>();
let underWay = 0;
let mostUnderWay = 0;
let issued = 0;

const server = createServer(async (request, response) => {
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
  }, LATENCY_MILLISECONDS);
});

const calls = {
  start: async () => `http://127.0.0.1:${await listen(server, 0)}/api/token`,
  /** Tells what happened since the last time, and forgets it. */
  count() {
    const counts = [...callsByToken.values()];
    const counted = {
      calls: counts.reduce((sum, count) => sum + count, 0),
      /** Calls with a refresh token that had been sent before. */
      doubles: counts.reduce((sum, count) => sum + count - 1, 0),
      mostUnderWay,
    };
    callsByToken.clear();
    mostUnderWay = 0;
    return counted;
  },
};

export type TokenEndpoint = typeof calls;

answerQuestions(calls);
