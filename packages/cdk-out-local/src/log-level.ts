import * as v from 'valibot';

/** Lambda's levels of application logs, most detailed first. */
const LEVELS: readonly string[] = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];

const levelOfLine = v.pipe(
  v.string(),
  v.parseJson(),
  v.looseObject({ level: v.fallback(v.pipe(v.string(), v.toUpperCase(), v.picklist(LEVELS)), 'INFO') }),
  v.transform(({ level }) => level),
);

/** A template's logging configuration of a function. */
export interface LoggingConfig {
  readonly ApplicationLogLevel?: string | undefined;
  readonly LogFormat?: 'JSON' | 'Text' | undefined;
}

/**
 * Whether Lambda forwards a line of a function to CloudWatch: with the format JSON, if it has at least the configured level.
 * An object without a level counts as INFO, even if it contains metrics; a line that is not an object has no level.
 *
 * @see https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
 */
export function isLogged(line: string, { ApplicationLogLevel = 'INFO', LogFormat }: LoggingConfig): boolean {
  const level = v.safeParse(levelOfLine, line);
  const lowest = LEVELS.indexOf(ApplicationLogLevel);
  return LogFormat !== 'JSON' || !level.success || LEVELS.indexOf(level.output) >= lowest;
}
