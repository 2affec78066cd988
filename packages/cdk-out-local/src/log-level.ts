import * as v from 'valibot';

/** Lambda's levels of application logs, from the one with most detail. */
const LEVELS: readonly string[] = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];

const levelOfLine = v.pipe(
  v.string(),
  v.parseJson(),
  v.looseObject({ level: v.fallback(v.pipe(v.string(), v.toUpperCase(), v.picklist(LEVELS)), 'INFO') }),
  v.transform(({ level }) => level),
);

/** What a template says about a function's log. */
export interface LoggingConfig {
  readonly ApplicationLogLevel?: string | undefined;
  readonly LogFormat?: 'JSON' | 'Text' | undefined;
}

/**
 * Whether Lambda passes a line of a function on to CloudWatch: with the format JSON, one of the configured level or above.
 * An object without a level counts as INFO, also where it holds metrics; a line that is no object has no level at all.
 *
 * @see https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
 */
export function isLogged(line: string, { ApplicationLogLevel = 'INFO', LogFormat }: LoggingConfig): boolean {
  const level = v.safeParse(levelOfLine, line);
  const lowest = LEVELS.indexOf(ApplicationLogLevel);
  return LogFormat !== 'JSON' || !level.success || LEVELS.indexOf(level.output) >= lowest;
}
