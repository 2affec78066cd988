/** What goes wrong with a token request. */
export type Fault = (
  | {
      readonly kind: 'status';
      readonly status: 429 | 500 | 502 | 503;
      /** The `Retry-After` header, verbatim. @default no such header */
      readonly retryAfter?: string;
    }
  /** No answer comes, and the exchange does not take place. */
  | { readonly kind: 'hang' }
  /** The connection is closed without an answer, before or after the exchange took place. */
  | { readonly kind: 'reset-before' | 'reset-after' }
) & {
  /** How many requests it strikes. @default every one until it is replaced */
  readonly times?: number;
  /** The probability, 0 to 1, that it strikes a request. @default 1 */
  readonly share?: number;
};

/** Decides for each request whether the current fault strikes it. */
export class FaultPlan {
  #fault: Fault | undefined;
  #remaining = 0;

  /** @param fault undefined ends all faults. @throws TypeError saying what is wrong with it */
  set(fault: Fault | undefined): void {
    if (fault) validate(fault);
    this.#fault = fault;
    this.#remaining = fault?.times ?? Number.POSITIVE_INFINITY;
  }

  take(): Fault | undefined {
    if (!this.#fault || this.#remaining <= 0 || Math.random() >= (this.#fault.share ?? 1)) return undefined;
    this.#remaining -= 1;
    return this.#fault;
  }
}

/** Faults also come as JSON from outside. */
function validate(fault: Fault): void {
  const kinds = ['status', 'hang', 'reset-before', 'reset-after'];
  if (!kinds.includes(fault.kind)) throw new TypeError(`fault.kind must be one of ${kinds.join(', ')}`);
  if (fault.kind === 'status' && ![429, 500, 502, 503].includes(fault.status)) {
    throw new TypeError('fault.status must be 429, 500, 502 or 503');
  }
}
