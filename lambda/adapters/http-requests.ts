import * as http from 'node:http';
import * as https from 'node:https';
import { unpackContent } from './content-coding.ts';

/** Node's own limit, 16 kB, can be reached by cookies and policies that nobody here reads: they cost no token. */
const LONGEST_HEADERS_BYTES = 256 * 1024;

/** After so long a server may close an idle connection at any moment, and a request on it would be lost. */
const IDLE_CONNECTION_MILLISECONDS = 4_000;

/** Text without control characters. */
export const PLAIN_TEXT = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Why an answer is not known to be whole. The message is our own words. */
class UnusableAnswerError extends Error {}

const agentOptions = { keepAlive: true, timeout: IDLE_CONNECTION_MILLISECONDS };
const agents = { http: new http.Agent(agentOptions), https: new https.Agent(agentOptions) };

/** A request to one server. */
export type HttpRequest = {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** Alternating names and values; node sends the list as it is. Without host and content-length. */
  readonly headers: readonly string[];
  readonly body: string;
};

/** What has come in of an answer, also of one that broke off. */
export type ReceivedAnswer = {
  /** 0: none came. */
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
  /** Why it is not known to be whole; null: it is. */
  readonly failure: Error | null;
};

/** How answers are read. */
export type ReadingOptions = {
  /** An answer that is longer than this is given up. */
  readonly longestBodyBytes: number;
  /** Whether headers are read that the strict parser refuses: a control character in one that is not needed costs nothing then. */
  readonly isLenient: boolean;
};

/**
 * Requests to one server, without what `fetch` builds around each: a sweep makes a million of them, and a cold start does not
 * load `fetch` (docs/decisions/0008). Reuses connections, follows no redirect.
 */
export class HttpRequests {
  readonly #request: typeof http.request;
  readonly #options: http.RequestOptions;
  readonly #host: string;
  readonly #reading: ReadingOptions;

  /** @param server an http or https address, of which scheme, host and port count */
  constructor({ protocol, hostname, host, port }: URL, reading: ReadingOptions) {
    const isSecure = protocol === 'https:';
    this.#request = isSecure ? https.request : http.request;
    this.#host = host;
    this.#reading = reading;
    this.#options = {
      agent: isSecure ? agents.https : agents.http,
      // Without the brackets that stand around an address of IPv6 in a URL.
      host: hostname.replace(/^\[|\]$/g, ''),
      port,
      maxHeaderSize: LONGEST_HEADERS_BYTES,
      insecureHTTPParser: reading.isLenient,
    };
  }

  /** Sends a request and waits for the whole answer. A failure is part of what it resolves with. */
  async send(request: HttpRequest, timeoutMilliseconds: number): Promise<ReceivedAnswer> {
    const { longestBodyBytes, isLenient } = this.#reading;
    const { method, path, body } = request;
    const chunks: Buffer[] = [];
    let status = 0;
    let headers: http.IncomingHttpHeaders = {};
    const failure = await new Promise<Error | null>((resolve) => {
      const end = (reason: Error | null) => {
        clearTimeout(timer);
        resolve(reason);
      };
      const ownHeaders = ['host', this.#host, 'content-length', `${Buffer.byteLength(body)}`];
      const options = { ...this.#options, method, path, headers: [...ownHeaders, ...request.headers] };
      const outgoing = this.#request(options, (incoming) => {
        ({ statusCode: status = 0, headers } = incoming);
        outgoing.shouldKeepAlive &&= !(isLenient && hasOddHeaders(incoming));
        let length = 0;
        incoming.on('data', (chunk: Buffer) => {
          chunks.push(chunk);
          length += chunk.length;
          if (length > longestBodyBytes) {
            fail(new UnusableAnswerError('answer too long'));
          }
        });
        incoming.on('end', () => end(null));
        incoming.on('error', end);
      });
      // Both: node may have given the socket back already, and then tells nobody of the error.
      const fail = (reason: Error) => {
        end(reason);
        outgoing.destroy();
      };
      const timer = setTimeout(() => fail(new UnusableAnswerError('no answer in time')), timeoutMilliseconds);
      outgoing.on('upgrade', () => fail(new UnusableAnswerError('status 101')));
      outgoing.on('error', end);
      outgoing.end(body);
    });
    const content = Buffer.concat(chunks);
    const { bytes, isTooLong } = await unpackContent(content, headers['content-encoding'], longestBodyBytes);
    return {
      status,
      headers,
      text: bytes.toString(),
      failure: failure ?? (isTooLong ? new UnusableAnswerError('answer too long') : null),
    };
  }
}

/**
 * Whether headers have control characters or say twice where the answer ends, so that it is open where it does. Its connection is
 * not used again: what is left on it would be read as the answer to the next request, which is another user's.
 */
function hasOddHeaders({ headers, rawHeaders }: http.IncomingMessage): boolean {
  const transferEncoding = headers['transfer-encoding'];
  const isFramedOddly =
    transferEncoding !== undefined &&
    (transferEncoding !== 'chunked' || headers['content-length'] !== undefined);
  return isFramedOddly || !PLAIN_TEXT.test(rawHeaders.join());
}

/** Why an answer did not come, or broke off, in our own words. Throws everything else: a defect must not pass for an outage. */
export function describeFailedRequest(error: unknown): string {
  if (error instanceof UnusableAnswerError) {
    return error.message;
  }
  if (error instanceof Error && 'code' in error) {
    return `connection failed: ${error.code}`;
  }
  throw error;
}
