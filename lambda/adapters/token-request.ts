import * as http from 'node:http';
import * as https from 'node:https';
import { unpackContent } from './content-coding.ts';

/** Token answers are a few hundred bytes; whatever is longer is not one. */
const LONGEST_BODY_BYTES = 64 * 1024;

/** Node's own limit, 16 kB, can be reached by cookies and policies that nobody here reads: they cost no token. */
const LONGEST_HEADERS_BYTES = 256 * 1024;

/** After so long a server may close an idle connection at any moment, and a request on it would be lost. */
const IDLE_CONNECTION_MILLISECONDS = 4_000;

/** Text without control characters. */
const PLAIN_TEXT = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Why an answer is not known to be whole. The message is our own words. */
export class UnusableAnswerError extends Error {}

const agentOptions = { keepAlive: true, timeout: IDLE_CONNECTION_MILLISECONDS };
const agents = { http: new http.Agent(agentOptions), https: new https.Agent(agentOptions) };

/** What has come in of an answer, also of one that broke off. */
export type ReceivedAnswer = {
  /** 0: none came. */
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
  /** Why it is not known to be whole; null: it is. */
  readonly failure: Error | null;
};

/**
 * Requests to one token endpoint. A sweep makes a million of them, so they are sent over `node:http`, without what `fetch`
 * builds around each (docs/decisions/0008). Reuses connections, follows no redirect.
 */
export class TokenRequests {
  readonly #request: typeof http.request;
  readonly #options: http.RequestOptions;
  readonly #host: string;

  constructor({ protocol, hostname, host, port, pathname, search }: URL) {
    const isSecure = protocol === 'https:';
    this.#request = isSecure ? https.request : http.request;
    this.#host = host;
    this.#options = {
      method: 'POST',
      agent: isSecure ? agents.https : agents.http,
      // Without the brackets that stand around an address of IPv6 in a URL.
      host: hostname.replace(/^\[|\]$/g, ''),
      port,
      path: pathname + search,
      maxHeaderSize: LONGEST_HEADERS_BYTES,
      // Read as it comes: by the strict parser a control character in a header that nobody needs costs the token.
      insecureHTTPParser: true,
    };
  }

  /**
   * Sends a form and waits for the whole answer. Never rejects.
   *
   * @param form in the media type application/x-www-form-urlencoded, ASCII only
   * @param authorization the header
   */
  async send(form: string, authorization: string, timeoutMilliseconds: number): Promise<ReceivedAnswer> {
    const chunks: Buffer[] = [];
    let status = 0;
    let headers: http.IncomingHttpHeaders = {};
    const failure = await new Promise<Error | null>((resolve) => {
      const end = (reason: Error | null) => {
        clearTimeout(timer);
        resolve(reason);
      };
      // As a flat list, which node sends as it is.
      const requestHeaders = [
        ...['host', this.#host, 'authorization', authorization, 'accept', 'application/json'],
        ...[
          'content-type',
          'application/x-www-form-urlencoded;charset=UTF-8',
          'content-length',
          `${form.length}`,
        ],
      ];
      const outgoing = this.#request({ ...this.#options, headers: requestHeaders }, (incoming) => {
        ({ statusCode: status = 0, headers } = incoming);
        outgoing.shouldKeepAlive &&= !isOdd(incoming);
        let length = 0;
        incoming.on('data', (chunk: Buffer) => {
          chunks.push(chunk);
          length += chunk.length;
          if (length > LONGEST_BODY_BYTES) {
            outgoing.destroy(new UnusableAnswerError('answer too long'));
          }
        });
        incoming.on('end', () => end(null));
        incoming.on('error', end);
      });
      const timer = setTimeout(() => {
        outgoing.destroy(new UnusableAnswerError('no answer in time'));
      }, timeoutMilliseconds);
      outgoing.on('error', end);
      outgoing.end(form);
    });
    const { bytes, isTooLong } = await unpackContent(
      Buffer.concat(chunks),
      headers['content-encoding'],
      LONGEST_BODY_BYTES,
    );
    return {
      status,
      headers,
      text: bytes.toString(),
      failure: failure ?? (isTooLong ? new UnusableAnswerError('answer too long') : null),
    };
  }
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
