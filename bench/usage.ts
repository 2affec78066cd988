/** What some work cost its process. */
export interface Usage {
  readonly milliseconds: number;
  /** User and system time of all threads. */
  readonly cpuMilliseconds: number;
}

/** Runs some work and measures it from inside the process. */
export async function measureUsage<Result>(
  work: () => Promise<Result>,
): Promise<Usage & { readonly result: Result }> {
  const startedAt = performance.now();
  const cpuBefore = process.cpuUsage();
  const result = await work();
  const { user, system } = process.cpuUsage(cpuBefore);
  return { result, milliseconds: performance.now() - startedAt, cpuMilliseconds: (user + system) / 1_000 };
}
