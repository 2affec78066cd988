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

/** A complete address without an anchor, written as a browser would normalise it. */
export function address(description: string) {
  return v.pipe(
    v.string(mustBe(description)),
    v.check((value) => parseSafeUrl(value)?.href === value && !value.includes('#'), mustBe(description)),
  );
}

/** Text that is as the pattern says. */
export function text(pattern: RegExp, message: string | ((issue: v.BaseIssue<unknown>) => string)) {
  return v.pipe(v.string(message), v.regex(pattern, message));
}

/** What ARNs of one kind look like. `resource` is the pattern of what follows the account. */
export function arn(service: string, resource: string): RegExp {
  return new RegExp(`^arn:aws[a-z-]*:${service}:[a-z0-9-]+:[0-9]{12}:${resource}$`);
}

/** The rest of an error message: what to write, and what stands there instead. */
export function mustBe(description: string): (issue: v.BaseIssue<unknown>) => string {
  return ({ input }) => `must be ${description}, got ${display(input)}`;
}

export function display(value: unknown): string {
  return value === undefined ? 'nothing' : JSON.stringify(value);
}

/** Tokens travel to and from these addresses: only HTTPS will do, except within one machine. */
function parseSafeUrl(value: string): URL | undefined {
  const url = URL.parse(value);
  if (url === null || url.hostname.includes('*') || url.username !== '' || url.password !== '')
    return undefined;
  const isLoopback = url.hostname === '127.0.0.1' || url.hostname === 'localhost';
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback) ? url : undefined;
}
