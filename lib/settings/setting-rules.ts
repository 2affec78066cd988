/**
 * Rules for the value of one setting. Like valibot's own, each is named after the value that it accepts. Its message is the
 * rest of a line that begins with the name of the setting.
 */
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import * as v from 'valibot';

/** A whole number within bounds, both included. */
export function wholeNumber({ from, to }: { from: number; to?: number }) {
  const message = mustBe(
    to === undefined ? `a whole number, ${from} or more` : `a whole number from ${from} to ${to}`,
  );
  return v.pipe(
    v.number(message),
    v.integer(message),
    v.minValue(from, message),
    v.maxValue(to ?? Number.POSITIVE_INFINITY, message),
  );
}

/** Scheme, host and port, without a path: exactly what a browser sends as `Origin`. */
export function origin(description: string) {
  return v.pipe(
    v.string(mustBe(description)),
    v.check((value) => parseSafeUrl(value)?.origin === value, mustBe(description)),
  );
}

/** A complete address without an anchor, in the form that browsers normalise to. */
export function address(description: string) {
  return v.pipe(
    v.string(mustBe(description)),
    v.check((value) => parseSafeUrl(value)?.href === value && !value.includes('#'), mustBe(description)),
  );
}

export const origins = v.pipe(
  v.array(
    origin('an exact origin such as https://app.example.com, without *, path or trailing slash'),
    mustBe('a list of origins such as ["https://app.example.com"]'),
  ),
  v.nonEmpty(mustBe('a list of at least one origin such as ["https://app.example.com"]')),
);

export const addresses = v.pipe(
  v.array(
    address('an address such as https://auth.example.com/auth/v1'),
    mustBe('a list of addresses such as ["https://auth.example.com/auth/v1"]'),
  ),
  v.nonEmpty(mustBe('a list of at least one address such as ["https://auth.example.com/auth/v1"]')),
);

/** None above INFO: Lambda counts the metrics' lines as INFO, and would drop them. */
export const logLevel = oneOf(['DEBUG', 'INFO'] as const);

/** The periods that CloudWatch supports, except "never expire". */
export const retentionDays = oneOf(
  Object.values(RetentionDays).filter((days) => typeof days === 'number' && days !== RetentionDays.INFINITE),
);

export const emailAddress = text(
  /^[^\s@]+@[^\s@]+\.[^\s@]+$/,
  mustBe('an e-mail address such as platform@example.com'),
);

export const domain = text(
  /^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]$/,
  mustBe('a domain in lower case such as spotify-auth.example.com'),
);

export const topicArn = text(
  createArnPattern('sns', '[\\w-]+'),
  mustBe('the ARN of an SNS topic such as arn:aws:sns:eu-west-1:123456789012:alarms'),
);

export const eventBusNameOrArn = text(
  new RegExp(`^[\\w./-]+$|${createArnPattern('events', 'event-bus/[\\w./-]+').source}`),
  mustBe(
    'the name or the ARN of an event bus such as arn:aws:events:eu-west-1:123456789012:event-bus/bondhu',
  ),
);

export const secretArn = text(
  createArnPattern('secretsmanager', 'secret:[\\w/+=.@-]+-[A-Za-z0-9]{6}'),
  // The message does not repeat the value, which may be the secret itself.
  'must be the complete ARN of a secret such as arn:aws:secretsmanager:eu-west-1:123456789012:secret:name-AbCdEf',
);

export const certificateArn = text(
  createArnPattern('acm', 'certificate/[\\w-]+'),
  mustBe(
    'the ARN of a certificate such as arn:aws:acm:eu-west-1:123456789012:certificate/12345678-90ab-cdef-1234-567890abcdef',
  ),
);

export const policyNameOrArn = text(
  /^[\w+=,.@-]{1,128}$|^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy\/[\w+=,.@/-]+$/,
  mustBe('the name or the ARN of a managed policy such as arn:aws:iam::123456789012:policy/boundary'),
);

export const bootstrapQualifier = text(
  /^[a-z0-9]{1,10}$/,
  mustBe('up to 10 lower-case letters and digits such as bondhuprod'),
);

export const tags = v.pipe(
  v.custom<Record<string, unknown>>(isRecord, mustBe('tags such as {"team": "platform"}')),
  v.record(
    text(
      /^(?!aws:)[\w .:/=+@-]{1,128}$/,
      mustBe('a tag of letters, digits, spaces and _.:/=+-@, not starting with aws:'),
    ),
    text(/^[\w .:/=+@-]{0,256}$/, mustBe('a text of letters, digits, spaces and _.:/=+-@')),
  ),
);

/** The rest of an error message: what to write, and the present value. */
export function mustBe(description: string): (issue: v.BaseIssue<unknown>) => string {
  return ({ input }) => `must be ${description}, got ${display(input)}`;
}

export function display(value: unknown): string {
  return value === undefined ? 'nothing' : JSON.stringify(value);
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function text(pattern: RegExp, message: string | ((issue: v.BaseIssue<unknown>) => string)) {
  return v.pipe(v.string(message), v.regex(pattern, message));
}

function oneOf<const Values extends readonly (string | number)[]>(values: Values) {
  return v.picklist(values, mustBe(`one of ${values.join(', ')}`));
}

/** The shape of an ARN of one kind. `resource` is the pattern after the account. */
function createArnPattern(service: string, resource: string): RegExp {
  return new RegExp(`^arn:aws[a-z-]*:${service}:[a-z0-9-]+:[0-9]{12}:${resource}$`);
}

/** Tokens travel to and from these addresses, so they must use HTTPS, except on one machine. */
function parseSafeUrl(value: string): URL | undefined {
  const url = URL.parse(value);
  if (url === null || url.hostname.includes('*') || url.username !== '' || url.password !== '')
    return undefined;
  const isLoopback = url.hostname === '127.0.0.1' || url.hostname === 'localhost';
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback) ? url : undefined;
}
