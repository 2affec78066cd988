import { Logger, LogLevelThreshold } from '@aws-lambda-powertools/logger';
import type { Context } from 'aws-lambda';
import type { Log } from '../connection/log.ts';

/** The functions' log: one JSON object per line, through Powertools for AWS Lambda. */
export class PowertoolsLog implements Log {
  readonly writesDebug: boolean;
  readonly #logger: Logger;

  /** @param service name of the function's part in the system, on every line */
  constructor(service: string) {
    this.#logger = new Logger({ serviceName: service });
    this.writesDebug = this.#logger.level <= LogLevelThreshold.DEBUG;
  }

  /** Puts the invocation's ids on every line until the next one starts. */
  startInvocation(context: Context, apiRequestId?: string): void {
    this.#logger.resetKeys();
    this.#logger.addContext(context);
    if (apiRequestId !== undefined) {
      this.#logger.appendKeys({ request_id: apiRequestId });
    }
  }

  debug: Log['debug'] = (message, fields) => this.#logger.debug(message, { ...fields });
  info: Log['info'] = (message, fields) => this.#logger.info(message, { ...fields });
  warn: Log['warn'] = (message, fields) => this.#logger.warn(message, { ...fields });
  error: Log['error'] = (message, fields) => this.#logger.error(message, { ...fields });
}
