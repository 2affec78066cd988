/**
 * The faults of token requests. They also arrive as JSON from other processes.
 *
 * | kind | with | the exchange | what the client sees |
 * | --- | --- | --- | --- |
 * | `status` | `status`; the headers `retryAfter`, `location`, verbatim | does not take place | an HTML page |
 * | `error` | `error`; `status`, by default 400 | does not take place | an error of RFC 6749, section 5.2 |
 * | `hang` | | does not take place | no answer |
 * | `reset-before` | | does not take place | the connection closes without an answer |
 * | `reset-after` | | takes place | the connection closes without an answer |
 * | `hang-in-body` | | takes place | headers and half the body, then nothing |
 * | `truncated` | | takes place | half the body, as if it were all |
 * | `content-type` | `contentType` | takes place | the answer under another content type |
 * | `fields` | `fields` | takes place | the answer with these members; null leaves one out |
 * | `oversized` | | takes place | the answer, 1 MB longer |
 *
 * Every kind also says which requests it affects: the first `times` (default: all, until it is replaced), each with
 * probability `share` (default 1), of the users in `shareOfUsers` (default 1). The users are always the same,
 * and a larger share includes the users of a smaller one.
 */
import { hash } from 'node:crypto';
import * as v from 'valibot';

const text = v.string('must be a text');
const share = v.pipe(
  v.number('must be 0 to 1'),
  v.minValue(0, 'must be 0 to 1'),
  v.maxValue(1, 'must be 0 to 1'),
);
const count = v.pipe(
  v.number('must be 1 or more'),
  v.integer('must be 1 or more'),
  v.minValue(1, 'must be 1 or more'),
);
const status = v.picklist(
  Array.from({ length: 300 }, (_, index) => 300 + index),
  'must be an HTTP status from 300 to 599',
);
const strikes = { times: v.optional(count), share: v.optional(share), shareOfUsers: v.optional(share) };
const kindsWithoutMore = [
  'hang',
  'reset-before',
  'reset-after',
  'hang-in-body',
  'truncated',
  'oversized',
] as const;

const faultSchema = v.variant('kind', [
  v.strictObject({ kind: v.picklist(kindsWithoutMore), ...strikes }),
  v.strictObject({
    kind: v.literal('status'),
    status,
    retryAfter: v.optional(text),
    location: v.optional(text),
    ...strikes,
  }),
  v.strictObject({ kind: v.literal('error'), error: text, status: v.optional(status), ...strikes }),
  v.strictObject({ kind: v.literal('content-type'), contentType: text, ...strikes }),
  v.strictObject({ kind: v.literal('fields'), fields: v.record(v.string(), v.unknown()), ...strikes }),
]);

export type Fault = v.InferOutput<typeof faultSchema>;

/** Decides for each request whether the current fault affects it. */
export class FaultPlan {
  #fault: Fault | undefined;
  #remaining = 0;

  /** @param fault a {@link Fault}; undefined ends all faults. @throws TypeError that describes what is wrong with it */
  set(fault: unknown): void {
    this.#fault = fault === undefined ? undefined : parse(fault);
    this.#remaining = this.#fault?.times ?? Number.POSITIVE_INFINITY;
  }

  /** @param userId the user of the request, if its refresh token identifies one */
  take(userId = ''): Fault | undefined {
    if (!this.#fault || this.#remaining <= 0) return undefined;
    const { share = 1, shareOfUsers = 1 } = this.#fault;
    if (Math.random() >= share || placeAmongUsers(userId) >= shareOfUsers) return undefined;
    this.#remaining -= 1;
    return this.#fault;
  }
}

function parse(fault: unknown): Fault {
  const parsed = v.safeParse(faultSchema, fault);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  const path = v.getDotPath(issue);
  throw new TypeError(`fault${path ? `.${path}` : ''}: ${issue.message}`);
}

/** A number from 0 up to, not including, 1 that always stays the same for a user. */
function placeAmongUsers(userId: string): number {
  return Number.parseInt(hash('sha256', userId).slice(0, 8), 16) / 2 ** 32;
}
