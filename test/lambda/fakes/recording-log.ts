import type { Log, LogFields } from '../../../lambda/connection/log.ts';

/** A log that keeps its lines. */
export class RecordingLog implements Log {
  writesDebug = true;
  readonly lines: {
    readonly level: 'debug' | 'info' | 'warn' | 'error';
    readonly message: string;
    readonly fields: LogFields;
  }[] = [];

  debug: Log['debug'] = (message, fields) => void this.lines.push({ level: 'debug', message, fields });
  info: Log['info'] = (message, fields) => void this.lines.push({ level: 'info', message, fields });
  warn: Log['warn'] = (message, fields) => void this.lines.push({ level: 'warn', message, fields });
  error: Log['error'] = (message, fields) => void this.lines.push({ level: 'error', message, fields });
}
