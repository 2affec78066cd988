import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { recogniseErrorsOfNode } from './one-realm.ts';

recogniseErrorsOfNode();

/** A request that the server received. */
export type ReceivedRequest = {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  /** Alternating names and values as they came, so that one that came twice is there twice. */
  readonly rawHeaders: readonly string[];
  readonly body: string;
  /** Of the caller: another one is another connection. */
  readonly port: number | undefined;
};

/** Answers a request, or leaves it hanging. */
export type Respond = (response: ServerResponse, request: ReceivedRequest) => void;

/** A server on 127.0.0.1 that answers as the test says at the moment. */
export class FakeHttpServer {
  readonly url: URL;
  readonly requests: ReceivedRequest[] = [];
  respond: Respond = (response) => void response.writeHead(500).end();
  readonly #close: () => Promise<void>;

  private constructor(url: URL, close: () => Promise<void>) {
    this.url = url;
    this.#close = close;
  }

  static async start(): Promise<FakeHttpServer> {
    const server = createServer(async (incoming, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of incoming) {
        chunks.push(chunk as Buffer);
      }
      const request = {
        method: incoming.method ?? '',
        path: incoming.url ?? '',
        headers: incoming.headers,
        rawHeaders: incoming.rawHeaders,
        body: Buffer.concat(chunks).toString(),
        port: incoming.socket.remotePort,
      };
      fake.requests.push(request);
      fake.respond(response, request);
    });
    // Closes no idle connection, and does not say when it would: that is for the caller to decide.
    server.keepAliveTimeout = 0;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const fake = new FakeHttpServer(new URL(`http://127.0.0.1:${port}`), async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    });
    return fake;
  }

  /** Forgets what came in and what to answer. */
  reset(): void {
    this.requests.length = 0;
    this.respond = (response) => void response.writeHead(500).end();
  }

  stop(): Promise<void> {
    return this.#close();
  }
}

/** Answers with JSON. */
export function json(status: number, body: unknown, headers: Record<string, string> = {}): Respond {
  return (response) =>
    void response
      .writeHead(status, { 'content-type': 'application/json', ...headers })
      .end(JSON.stringify(body));
}

/** Answers with the page of a proxy whose server is gone. */
export function html(status: number, body = '<html><body><h1>Bad Gateway</h1></body></html>'): Respond {
  return (response) => void response.writeHead(status, { 'content-type': 'text/html' }).end(body);
}

/** Closes the connection without an answer. */
export const reset: Respond = (response) => void response.socket?.resetAndDestroy();

/** Never answers. */
export const hang: Respond = () => {};
