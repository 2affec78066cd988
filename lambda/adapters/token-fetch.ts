import * as http from 'node:http';
import * as https from 'node:https';
import type { CustomFetchOptions } from 'oauth4webapi';
import { unpackContent } from './content-coding.ts';

/** Token answers are a few hundred bytes; whatever is longer is not one. */
const LONGEST_BODY_BYTES = 64 * 1024;

/** Node's own limit, 16 kB, can be reached by cookies and policies that nobody here reads: they cost no token. */
const LONGEST_HEADERS_BYTES = 256 * 1024;

/** After so long a server may close an idle connection at any moment, and a request on it would be lost. */
const IDLE_CONNECTION_MILLISECONDS = 4_000;

/** What is read of an answer's headers. */
const HEADERS_THAT_MATTER = ['content-type', 'date', 'retry-after', 'www-authenticate'];

/** Of these no Response with a body can be made. */
const STATUSES_WITHOUT_BODY = [204, 205, 304];

/** Text without control characters. */
const PLAIN_TEXT = /^[\t\x20-\x7e\x80-\xff]*$/;

/** What came is no answer to a token request. The message is our own words. */
export class UnusableAnswerError extends Error {}

const agentOptions = { keepAlive: true, timeout: IDLE_CONNECTION_MILLISECONDS };
const agents = { http: new http.Agent(agentOptions), https: new https.Agent(agentOptions) };

/** What has come in of an answer, also of one that broke off. */
export type ReceivedAnswer = { isOfSuccess: boolean; text: string };

/** The same as it came. */
type RawAnswer = { status: number; headers: http.IncomingHttpHeaders; readonly chunks: Buffer[] };

/**
 * `fetch` for token requests. A sweep makes a million of them: over `node:http` one takes a third of the processor time
 * that `fetch` takes (docs/decisions/0008). Reuses connections, follows no redirect, and resolves with the whole answer
 * read, so that the signal covers its body too.
 *
 * @param received filled in before this is over, however it ends
 * @returns rejects with the error of `node:http`, an {@link UnusableAnswerError}, or an AbortError
 */
export async function fetchTokens(
  url: string,
  options: CustomFetchOptions<'POST', URLSearchParams>,
  received: ReceivedAnswer,
): Promise<Response> {
  const raw: RawAnswer = { status: 0, headers: {}, chunks: [] };
  const failure = await receive(url, options, raw).then(
    () => null,
    (error: unknown) => error,
  );
  const content = Buffer.concat(raw.chunks);
  const { bytes, isTooLong } = await unpackContent(
    content,
    raw.headers['content-encoding'],
    LONGEST_BODY_BYTES,
  );
  received.isOfSuccess = raw.status >= 200 && raw.status < 300;
  received.text = bytes.toString();
  if (failure !== null) {
    throw failure;
  }
  if (isTooLong) {
    throw new UnusableAnswerError('answer too long');
  }
  return toResponse(raw, received.text);
}

/** Resolves when the whole answer is there. */
function receive(
  url: string,
  { method, headers, body, signal }: CustomFetchOptions<'POST', URLSearchParams>,
  raw: RawAnswer,
): Promise<void> {
  const isSecure = url.startsWith('https:');
  const form = body.toString();
  const options = {
    method,
    agent: isSecure ? agents.https : agents.http,
    headers: { ...headers, 'content-length': Buffer.byteLength(form) },
    maxHeaderSize: LONGEST_HEADERS_BYTES,
    // Read as it comes: by the strict parser a control character in a header that nobody needs costs the token.
    insecureHTTPParser: true,
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
      raw.status = statusCode;
      raw.headers = incoming.headers;
      outgoing.shouldKeepAlive &&= !isOdd(incoming);
      let length = 0;
      incoming.on('data', (chunk: Buffer) => {
        raw.chunks.push(chunk);
        length += chunk.length;
        if (length > LONGEST_BODY_BYTES) {
          outgoing.destroy(new UnusableAnswerError('answer too long'));
        }
      });
      incoming.on('end', resolve);
      incoming.on('error', reject);
    });
    outgoing.on('error', reject);
    outgoing.end(form);
  });
}

/**
 * Whether the strict parser would have refused the headers, so that it is open where the answer ends. Its connection is
 * not used again: what is left on it would be read as the answer to the next request, which is another user's.
 */
function isOdd({ headers, rawHeaders }: http.IncomingMessage): boolean {
  const transferEncoding = headers['transfer-encoding'];
  const isFramedOddly =
    transferEncoding !== undefined &&
    (transferEncoding !== 'chunked' || headers['content-length'] !== undefined);
  return isFramedOddly || !PLAIN_TEXT.test(rawHeaders.join());
}

function toResponse({ status, headers }: RawAnswer, text: string): Response {
  const kept = HEADERS_THAT_MATTER.flatMap((name) => {
    const value = headers[name];
    return typeof value === 'string' && PLAIN_TEXT.test(value) ? [[name, value] as [string, string]] : [];
  });
  const hasBody = text !== '' && !STATUSES_WITHOUT_BODY.includes(status);
  return new Response(hasBody ? text : null, { status, headers: kept });
}
