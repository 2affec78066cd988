/** What the stand-in sends back. */
export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** How much of the body is sent before the service falls silent. @default - all of it */
  readonly hangsAfterBytes?: number;
}
