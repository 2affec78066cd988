import * as http from 'node:http';
import * as https from 'node:https';
import type { CustomFetchOptions } from 'oauth4webapi';

/** Token answers are a few hundred bytes; whatever is longer is not one. */
const LONGEST_BODY_CHARACTERS = 64 * 1024;

/** After so long a server may close an idle connection at any moment, and a request on it would be lost. */
const IDLE_CONNECTION_MILLISECONDS = 4_000;

/** What is read of an answer's headers. */
const HEADERS_THAT_MATTER = ['content-type', 'date', 'retry-after', 'www-authenticate'];

/** What came is no answer to a token request. The message is our own words. */
export class UnusableAnswerError extends Error {}

const agentOptions = { keepAlive: true, timeout: IDLE_CONNECTION_MILLISECONDS };
const agents = { http: new http.Agent(agentOptions), https: new https.Agent(agentOptions) };

/** What has come in of an answer so far, also of one that never ends. */
export type ReceivedAnswer = { isOfSuccess: boolean; text: string };

/**
 * `fetch` for token requests. A sweep makes a million of them: over `node:http` one takes a third of the processor time
 * that `fetch` takes (docs/decisions/0008). Reuses connections, follows no redirect, and resolves with the whole answer
 * read, so that the signal covers its body too.
 *
 * @param received filled in while the answer comes
 * @returns rejects with the error of `node:http`, an {@link UnusableAnswerError}, or an AbortError
 */
export function fetchTokens(
  url: string,
  { method, headers, body, signal }: CustomFetchOptions<'POST', URLSearchParams>,
  received: ReceivedAnswer,
): Promise<Response> {
  const isSecure = url.startsWith('https:');
  const form = body.toString();
  const options = {
    method,
    agent: isSecure ? agents.https : agents.http,
    headers: { ...headers, 'content-length': Buffer.byteLength(form) },
    ...(signal && { signal }),
  };
  return new Promise((resolve, reject) => {
    const outgoing = (isSecure ? https : http).request(url, options, (incoming) => {
      const { statusCode = 0 } = incoming;
      // Of these alone a Response can be made.
      if (statusCode < 200 || statusCode > 599) {
        outgoing.destroy(new UnusableAnswerError(`status ${statusCode}`));
        return;
      }
      received.isOfSuccess = statusCode < 300;
      incoming.setEncoding('utf8');
      incoming.on('data', (text: string) => {
        received.text += text;
        if (received.text.length > LONGEST_BODY_CHARACTERS) {
          outgoing.destroy(new UnusableAnswerError('answer too long'));
        }
      });
      incoming.on('end', () => resolve(responseOf(incoming, received.text)));
      incoming.on('error', reject);
    });
    outgoing.on('error', reject);
    outgoing.end(form);
  });
}

function responseOf({ statusCode = 0, headers }: http.IncomingMessage, text: string): Response {
  const kept = HEADERS_THAT_MATTER.flatMap((name) => {
    const value = headers[name];
    return typeof value === 'string' ? [[name, value] as [string, string]] : [];
  });
  return new Response(text === '' ? null : text, { status: statusCode, headers: kept });
}
