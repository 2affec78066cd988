import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { type InvocationResult, platformError } from './invocation.ts';
import { listen } from './listen.ts';
import { isLogged, type LoggingConfig } from './log-level.ts';
import { nodeFlags } from './node-flags.ts';

const runtimeClientPath = createRequire(import.meta.url).resolve('aws-lambda-ric');
const preloadUrl = new URL('runtime-client/preload.mjs', import.meta.url).href;
const shiftClockUrl = new URL('runtime-client/shift-clock.mjs', import.meta.url).href;

/** Longer than any pause at a breakpoint. */
const WITHOUT_LIMIT_SECONDS = 7 * 86_400;

/**
 * How long a function's code may take to start. Lambda then starts it again, within the invocation and its timeout; here the
 * start goes on for as long.
 *
 * @see https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
 */
const INIT_TIMEOUT_SECONDS = 10;

/** The end of the line that runtime-client/native-client.mjs writes to each before it asks for work. */
const END_OF_OUTPUT = '\x1e';

export interface ExecutionEnvironmentOptions {
  readonly functionArn: string;
  /** The function's unpacked bundle. */
  readonly taskRoot: string;
  /** The process's whole environment, except the address of its Runtime API. */
  readonly environment: Readonly<Record<string, string>>;
  readonly timeoutSeconds: number;
  /**
   * The port of Node's inspector for a debugger, on 127.0.0.1. The process then has no time limit, so that it survives
   * a breakpoint. @default - no inspector
   */
  readonly inspectorPort?: number;
  /** How far the host's clock is ahead, which deadlines refer to. @default 0 */
  readonly clockOffsetSeconds?: number;
  /** Which of the function's lines are forwarded; the platform's own always are. @default all */
  readonly loggingConfig?: LoggingConfig;
  readonly onLogLine: (line: string) => void;
}

interface Invocation {
  readonly requestId: string;
  readonly payload: string;
  readonly resolve: (result: InvocationResult) => void;
  answer?: InvocationResult;
  hasTimedOut?: boolean;
}

/**
 * One process that runs a function's bundle with AWS's runtime client, one invocation after the other, and the
 * Runtime API endpoint that it calls.
 *
 * @see https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
 */
export class ExecutionEnvironment {
  /** Resolves once the process is gone and its last log line has been forwarded. */
  readonly ended: Promise<void>;
  readonly #options: ExecutionEnvironmentOptions;
  readonly #runtimeApi: Server;
  readonly #process: ChildProcess;
  #hasEnded = false;
  #invocation: Invocation | undefined;
  /** The runtime client's pending request for work. */
  #poll: ServerResponse | undefined;
  /** Standard output and standard error, unless the function has closed them. */
  readonly #streams: Set<Readable>;
  /** Those whose output before that request has yet to arrive. */
  #streamsUnderWay: Set<Readable>;
  #initError: InvocationResult | undefined;
  #timer: NodeJS.Timeout | undefined;

  static async start(options: ExecutionEnvironmentOptions): Promise<ExecutionEnvironment> {
    const runtimeApi = createServer();
    const port = await listen(runtimeApi, 0);
    return new ExecutionEnvironment(options, runtimeApi, port);
  }

  private constructor(options: ExecutionEnvironmentOptions, runtimeApi: Server, port: number) {
    this.#options =
      options.inspectorPort === undefined ? options : { ...options, timeoutSeconds: WITHOUT_LIMIT_SECONDS };
    this.#runtimeApi = runtimeApi.on('request', (request, response) => {
      // A request is only aborted if the process dies, which is handled below.
      this.#serve(request, response).catch(() => response.destroy());
    });
    const { clockOffsetSeconds = 0, inspectorPort } = options;
    const inspect = inspectorPort === undefined ? [] : [`--inspect=127.0.0.1:${inspectorPort}`];
    const shiftClock =
      clockOffsetSeconds === 0 ? [] : ['--import', `${shiftClockUrl}?seconds=${clockOffsetSeconds}`];
    const preloads = [...shiftClock, '--import', preloadUrl];
    const flags = nodeFlags(Number(options.environment['AWS_LAMBDA_FUNCTION_MEMORY_SIZE']));
    this.#process = spawn(process.execPath, [...flags, ...inspect, ...preloads, runtimeClientPath], {
      cwd: options.taskRoot,
      env: { ...options.environment, AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${port}` },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#streams = new Set([this.#process.stdout, this.#process.stderr].filter((stream) => stream !== null));
    this.#streamsUnderWay = new Set(this.#streams);
    for (const stream of this.#streams) {
      createInterface({ input: stream })
        .on('line', (line) => this.#takeLine(stream, line))
        .on('close', () => {
          if (this.#process.killed) return;
          this.#streams.delete(stream);
          this.#endOutput(stream);
        });
    }
    this.#setTimer(INIT_TIMEOUT_SECONDS + this.#options.timeoutSeconds);
    this.ended = once(this.#process, 'close').then(
      ([code, signal]) => this.#end(code, signal),
      (startError) => {
        options.onLogLine(String(startError));
        this.#end(1, null);
      },
    );
  }

  /** Whether it can run another invocation, that is, whether its process is alive. */
  get isAlive(): boolean {
    return !this.#hasEnded;
  }

  /**
   * Runs one invocation; the environment must not be running another. Resolves once the function has answered, its
   * log lines have been forwarded, and its runtime asks for more work, or once the process has ended. Never rejects,
   * even if the process dies.
   */
  invoke(requestId: string, payload: string): Promise<InvocationResult> {
    const { promise, resolve } = Promise.withResolvers<InvocationResult>();
    this.#invocation = { requestId, payload, resolve };
    if (this.#hasEnded) this.#settle(exitError(requestId, 1, null));
    this.#deliver();
    return promise;
  }

  /** Kills the process and waits for its end. */
  async stop(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.ended;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const action = request.url?.split('/').at(-1);
    if (action === 'next') {
      clearTimeout(this.#timer);
      this.#poll = response;
      this.#goOn();
      return;
    }
    const payload = await text(request);
    if (action === 'response' && this.#invocation) this.#invocation.answer = { payload };
    if (action === 'error') {
      const result: InvocationResult = { payload, functionError: 'Unhandled' };
      if (request.url?.endsWith('/init/error')) this.#initError = result;
      else if (this.#invocation) this.#invocation.answer = result;
    }
    response.writeHead(202, { 'content-type': 'application/json' }).end('{"status":"OK"}');
  }

  #takeLine(stream: Readable, line: string): void {
    const { loggingConfig = {}, onLogLine } = this.#options;
    const isLast = line.endsWith(END_OF_OUTPUT);
    // What the function wrote last may lack a line break.
    const text = isLast ? line.slice(0, -END_OF_OUTPUT.length) : line;
    if ((text !== '' || !isLast) && isLogged(text, loggingConfig)) onLogLine(text);
    if (isLast) this.#endOutput(stream);
  }

  #endOutput(stream: Readable): void {
    this.#streamsUnderWay.delete(stream);
    this.#goOn();
  }

  /** Ends an invocation that is over, and begins the next one. */
  #goOn(): void {
    if (!this.#poll || this.#streamsUnderWay.size > 0) return;
    if (this.#invocation?.answer) this.#settle(this.#invocation.answer);
    this.#deliver();
  }

  /** Gives a waiting invocation to a waiting runtime; its time starts now. */
  #deliver(): void {
    if (!this.#poll || this.#streamsUnderWay.size > 0 || !this.#invocation) return;
    const { functionArn, timeoutSeconds, clockOffsetSeconds = 0 } = this.#options;
    this.#setTimer(timeoutSeconds);
    this.#poll.writeHead(200, {
      'content-type': 'application/json',
      'lambda-runtime-aws-request-id': this.#invocation.requestId,
      'lambda-runtime-deadline-ms': Date.now() + (clockOffsetSeconds + timeoutSeconds) * 1000,
      'lambda-runtime-invoked-function-arn': functionArn,
    });
    this.#poll.end(this.#invocation.payload);
    this.#poll = undefined;
    this.#streamsUnderWay = new Set(this.#streams);
  }

  #setTimer(seconds: number): void {
    this.#timer = setTimeout(() => {
      if (this.#invocation) this.#invocation.hasTimedOut = true;
      this.#process.kill('SIGKILL');
    }, seconds * 1000);
  }

  #settle(result: InvocationResult): void {
    this.#invocation?.resolve(result);
    this.#invocation = undefined;
  }

  #end(code: number | null, signal: string | null): void {
    this.#hasEnded = true;
    clearTimeout(this.#timer);
    this.#runtimeApi.close();
    this.#runtimeApi.closeAllConnections();
    if (!this.#invocation) return;

    const { requestId, answer, hasTimedOut } = this.#invocation;
    const error =
      this.#initError ??
      (hasTimedOut
        ? timeoutError(requestId, this.#options.timeoutSeconds)
        : exitError(requestId, code, signal));
    if (!answer) this.#options.onLogLine(platformReport(requestId, error));
    this.#settle(answer ?? error);
  }
}

function timeoutError(requestId: string, seconds: number): InvocationResult {
  const message = `RequestId: ${requestId} Error: Task timed out after ${seconds.toFixed(2)} seconds`;
  return platformError('Sandbox.Timedout', message);
}

function exitError(requestId: string, code: number | null, signal: string | null): InvocationResult {
  const status = signal ? `signal: ${signal === 'SIGKILL' ? 'killed' : signal}` : `exit status ${code}`;
  const outcome =
    code === 0 ? 'Runtime exited without providing a reason' : `Runtime exited with error: ${status}`;
  return platformError('Runtime.ExitError', `RequestId: ${requestId} Error: ${outcome}`);
}

/** The line that Lambda itself logs for an invocation that it ended. */
function platformReport(requestId: string, { payload }: InvocationResult): string {
  const { errorType } = JSON.parse(payload);
  const status = errorType === 'Sandbox.Timedout' ? 'timeout' : 'error';
  return JSON.stringify({
    time: new Date().toISOString(),
    type: 'platform.report',
    record: { requestId, status, errorType },
  });
}
