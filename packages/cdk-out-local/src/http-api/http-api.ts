import { createServer, type Server, type ServerResponse } from 'node:http';
import type { Metrics } from '../cloudwatch/metrics.ts';
import type { InvocationResult, OnLog } from '../invocation.ts';
import { listen } from '../listen.ts';
import type { Resource, StackTemplate } from '../template.ts';
import { compileAccessLogFormat } from './access-log.ts';
import { applyCors, type CorsConfiguration, createPreflightAnswer } from './cors.ts';
import { createEvent } from './event.ts';
import { type GatewayRequest, readRequest } from './request.ts';
import {
  createGatewayAnswer,
  createIntegrationFailure,
  createResponse,
  type GatewayResponse,
} from './response.ts';
import { matchRoute, type Route, type RouteMatch, readRoutes } from './routes.ts';

export interface HttpApiOptions {
  readonly template: StackTemplate;
  readonly invoke: (functionArn: string, event: unknown) => Promise<InvocationResult>;
  readonly metrics: Metrics;
  readonly onLog: OnLog;
  readonly preferredPort: number;
}

/** The template's HTTP API: routes, CORS, access log and metrics. */
export class HttpApi {
  readonly #api: Resource<'AWS::ApiGatewayV2::Api'>;
  readonly #routes: readonly Route[];
  readonly #options: HttpApiOptions;
  readonly #formatAccessLog: ReturnType<typeof compileAccessLogFormat> | undefined;
  readonly #server: Server;
  readonly #additionalOrigins: string[] = [];
  #url = '';

  /** @throws if the template does not have exactly one HTTP API with its default stage */
  static async start(options: HttpApiOptions): Promise<HttpApi> {
    const api = new HttpApi(options);
    api.#url = `http://127.0.0.1:${await listen(api.#server, options.preferredPort)}`;
    return api;
  }

  private constructor(options: HttpApiOptions) {
    const [api, ...otherApis] = options.template.resourcesOfType('AWS::ApiGatewayV2::Api');
    const [stage, ...otherStages] = options.template.resourcesOfType('AWS::ApiGatewayV2::Stage');
    if (!api || !stage || otherApis.length + otherStages.length > 0) {
      throw new Error('the stack must have exactly one HTTP API with one stage');
    }
    const accessLogFormat = stage.properties.AccessLogSettings?.Format;
    this.#api = api;
    this.#routes = readRoutes(options.template, api.ref);
    this.#options = options;
    this.#formatAccessLog =
      accessLogFormat === undefined ? undefined : compileAccessLogFormat(accessLogFormat);
    this.#server = createServer(async (message, response) => {
      // Only rejects if the client disconnects while it sends its request.
      const request = await readRequest(message).catch(() => undefined);
      if (request) await this.#serve(request, response);
    });
  }

  get url(): string {
    return this.#url;
  }

  /** Accepts one more origin like the template's: that of a page on this machine, whose port was unknown at synthesis. */
  allowOrigin(origin: string): void {
    this.#additionalOrigins.push(origin);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: GatewayRequest, outgoing: ServerResponse): Promise<void> {
    const { response, routeKey } = await this.#answer(request);
    outgoing.writeHead(response.status, {
      ...response.headers,
      ...(response.status !== 204 && { 'content-length': response.body.length }),
      ...(response.cookies.length > 0 && { 'set-cookie': [...response.cookies] }),
      'apigw-requestid': request.requestId,
    });
    outgoing.end(response.body);
    const latencyInMillis = Date.now() - request.receivedAt.getTime();
    this.#measure(request, response.status, latencyInMillis);
    const line = this.#formatAccessLog?.({
      apiId: this.#api.ref,
      request,
      routeKey,
      response,
      latencyInMillis,
    });
    if (line !== undefined) this.#options.onLog(this.#api.properties.Name, line);
  }

  /** @see https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html */
  #measure({ receivedAt }: GatewayRequest, status: number, latencyInMillis: number): void {
    const measured = {
      Count: 1,
      '4xx': status >= 400 && status < 500 ? 1 : 0,
      '5xx': status >= 500 ? 1 : 0,
      Latency: latencyInMillis,
    };
    for (const [name, value] of Object.entries(measured)) {
      this.#options.metrics.put({
        namespace: 'AWS/ApiGateway',
        name,
        dimensions: { ApiId: this.#api.ref },
        value,
        unit: name === 'Latency' ? 'Milliseconds' : 'Count',
        at: receivedAt.getTime(),
      });
    }
  }

  async #answer(request: GatewayRequest): Promise<{ response: GatewayResponse; routeKey?: string }> {
    const cors = this.#corsConfiguration();
    if (cors && request.method === 'OPTIONS') return { response: createPreflightAnswer(request, cors) };

    let match: RouteMatch | undefined;
    try {
      match = matchRoute(this.#routes, request.method, request.path);
    } catch {
      return { response: createGatewayAnswer(400, 'Bad Request') };
    }
    if (!match) return { response: createGatewayAnswer(404, 'Not Found') };

    const response = await this.#integrate(request, match);
    const isFromFunction = response.errorMessage === undefined;
    return {
      response: cors && isFromFunction ? applyCors(response, request, cors) : response,
      routeKey: match.route.routeKey,
    };
  }

  #corsConfiguration(): CorsConfiguration | undefined {
    const cors = this.#api.properties.CorsConfiguration;
    return cors && { ...cors, AllowOrigins: [...cors.AllowOrigins, ...this.#additionalOrigins] };
  }

  async #integrate(request: GatewayRequest, match: RouteMatch): Promise<GatewayResponse> {
    if (!match.route.isPermitted) {
      return createIntegrationFailure(
        "The IAM role configured on the integration or API Gateway doesn't have permissions to call the integration.",
      );
    }
    const { template, invoke } = this.#options;
    const event = createEvent(request, match, { ...template, apiId: this.#api.ref });
    return createResponse(await invoke(match.route.functionArn, event));
  }
}
