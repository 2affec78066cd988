import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { listen } from '../listen.ts';
import type { LambdaService } from './lambda-service.ts';

const INVOKE_PATH = /^\/2015-03-31\/functions\/([^/]+)\/invocations$/;

/**
 * Lambda's `Invoke` over HTTP, synchronous only, so that other processes can run the stack's functions.
 *
 * @see https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
 */
export class LambdaEndpoint {
  readonly url: string;
  readonly #server: Server;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.url = `http://127.0.0.1:${port}`;
  }

  static async start(lambda: LambdaService, preferredPort: number): Promise<LambdaEndpoint> {
    const server = createServer((request, response) => void answer(lambda, request, response));
    return new LambdaEndpoint(server, await listen(server, preferredPort));
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

async function answer(
  lambda: LambdaService,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const functionName = INVOKE_PATH.exec(request.url ?? '')?.[1];
  if (request.method !== 'POST' || functionName === undefined) {
    response.writeHead(404).end();
    return;
  }
  try {
    const event: unknown = JSON.parse((await text(request)) || '{}');
    const result = await lambda.invoke(decodeURIComponent(functionName), event);
    const headers =
      result.functionError === undefined ? {} : { 'x-amz-function-error': result.functionError };
    response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(result.payload);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    response.writeHead(404, { 'content-type': 'application/json' }).end(JSON.stringify({ message }));
  }
}
