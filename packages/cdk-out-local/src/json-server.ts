import { randomUUID } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server } from 'node:http';
import { json } from 'node:stream/consumers';
import { listen } from './listen.ts';

export interface JsonAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface JsonServerOptions {
  /** The version of AWS's JSON protocol. */
  readonly version: '1.0' | '1.1';
  /** @default - any free port */
  readonly preferredPort?: number;
  /** @param input the request's JSON */
  readonly answer: (input: unknown, headers: IncomingHttpHeaders) => JsonAnswer | Promise<JsonAnswer>;
}

/**
 * A server on 127.0.0.1 that speaks AWS's JSON protocol.
 *
 * @see https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
 */
export class JsonServer {
  readonly url: string;
  readonly #server: Server;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.url = `http://127.0.0.1:${port}`;
  }

  static async start({ version, preferredPort = 0, answer }: JsonServerOptions): Promise<JsonServer> {
    const server = createServer(async (request, response) => {
      const { status, body } = await readAndAnswer(request, answer);
      response.writeHead(status, {
        'content-type': `application/x-amz-json-${version}`,
        'x-amzn-requestid': randomUUID(),
      });
      response.end(JSON.stringify(body));
    });
    return new JsonServer(server, await listen(server, preferredPort));
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

async function readAndAnswer(
  request: IncomingMessage,
  answer: JsonServerOptions['answer'],
): Promise<JsonAnswer> {
  let input: unknown;
  try {
    input = await json(request);
  } catch {
    return { status: 400, body: { __type: 'SerializationException', message: 'the request is not JSON' } };
  }
  return answer(input, request.headers);
}
