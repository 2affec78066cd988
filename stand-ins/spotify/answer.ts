/** An answer of the stand-in. */
export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** How much of the body is sent before the service goes silent. @default - all of it */
  readonly hangsAfterBytes?: number;
}
