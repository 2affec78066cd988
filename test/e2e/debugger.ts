import { EventEmitter, once } from 'node:events';

/** A debugger that is attached to a process over the Chrome DevTools Protocol, as editors do it. */
export class Debugger {
  readonly #socket: WebSocket;
  readonly #messages = new EventEmitter();
  #lastId = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener('message', ({ data }) => {
      const { id, method, result, params } = JSON.parse(data);
      this.#messages.emit(id ?? method, result ?? params);
    });
  }

  /** @param url as Node's inspector prints it: `ws://...` */
  static async attach(url: string): Promise<Debugger> {
    const socket = new WebSocket(url);
    await new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve);
      socket.addEventListener('error', reject);
    });
    return new Debugger(socket);
  }

  /** Calls a method. @see https://chromedevtools.github.io/devtools-protocol/v8/Debugger/ */
  async call(method: string, params: object = {}): Promise<Record<string, unknown>> {
    this.#lastId += 1;
    const answered = this.next(this.#lastId);
    this.#socket.send(JSON.stringify({ id: this.#lastId, method, params }));
    return answered;
  }

  /** Resolves with what the next event of this name says. */
  // biome-ignore lint/suspicious/noExplicitAny: the protocol has its own types
  async next(event: string | number): Promise<any> {
    const [message] = await once(this.#messages, event as string);
    return message;
  }

  detach(): void {
    this.#socket.close();
  }
}
