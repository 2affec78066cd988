import * as http from 'node:http';
import * as https from 'node:https';
import { unpackContent } from './content-coding.ts';

/** Cookies and policies that we do not read can exceed node's own limit of 16 kB: they must cost no token. */
const LONGEST_HEADERS_BYTES = 256 * 1024;

/** After this time a server may close an idle connection at any moment, and a request on it would be lost. */
const IDLE_CONNECTION_MILLISECONDS = 4_000;

/** Text without control characters. */
export const PLAIN_TEXT = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Why an answer may not be complete. The message is in our own words. */
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

/** The received part of an answer, even if it broke off. */
export type ReceivedAnswer = {
  /** 0: no status arrived. */
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
  /** Why it may not be complete; null: it is complete. */
  readonly failure: Error | null;
};

/** How answers are read. */
export type ReadingOptions = {
  /** A longer answer is aborted. */
  readonly longestBodyBytes: number;
  /** Whether to accept headers that the strict parser rejects: a control character in an unused header then costs nothing. */
  readonly isLenient: boolean;
};

/**
 * Requests to one server, without the objects that `fetch` builds for each: a sweep makes a million of them, and a cold start
 * does not load `fetch` (docs/decisions/0008). Reuses connections, follows no redirect.
 */
export class HttpRequests {
  readonly #request: typeof http.request;
  readonly #options: http.RequestOptions;
  readonly #host: string;
  readonly #reading: ReadingOptions;

  /** @param server an http or https address, of which only scheme, host and port are used */
  constructor({ protocol, hostname, host, port }: URL, reading: ReadingOptions) {
    const isSecure = protocol === 'https:';
    this.#request = isSecure ? https.request : http.request;
    this.#host = host;
    this.#reading = reading;
    this.#options = {
      agent: isSecure ? agents.https : agents.http,
      // Without the brackets around an IPv6 address in a URL.
      host: hostname.replace(/^\[|\]$/g, ''),
      port,
      maxHeaderSize: LONGEST_HEADERS_BYTES,
      insecureHTTPParser: reading.isLenient,
    };
  }

  /** Sends a request and waits for the whole answer. A failure is part of the resolved value. */
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
      // Both: node may have released the socket already, and then does not report the error.
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
 * Whether headers have control characters or contradict each other about the end of the answer. The connection is
 * not used again: leftover bytes would be read as the answer to the next request, which is another user's.
 */
function hasOddHeaders({ headers, rawHeaders }: http.IncomingMessage): boolean {
  const transferEncoding = headers['transfer-encoding'];
  const isFramedOddly =
    transferEncoding !== undefined &&
    (transferEncoding !== 'chunked' || headers['content-length'] !== undefined);
  return isFramedOddly || !PLAIN_TEXT.test(rawHeaders.join());
}

/** Why an answer did not arrive, or broke off, in our own words. Throws everything else: a defect must not look like an outage. */
export function describeFailedRequest(error: unknown): string {
  if (error instanceof UnusableAnswerError) {
    return error.message;
  }
  if (error instanceof Error && 'code' in error) {
    return `connection failed: ${error.code}`;
  }
  throw error;
}
