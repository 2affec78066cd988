const INTERVAL_MILLISECONDS = 2_000;

/**
 * Waits for some work, and reports every two seconds on standard error that it is still in progress.
 *
 * @param activity the work, such as "sweeping"
 */
export async function withProgress<Result>(activity: string, work: Promise<Result>): Promise<Result> {
  const startedAt = performance.now();
  const timer = setInterval(() => {
    const seconds = Math.round((performance.now() - startedAt) / 1_000);
    process.stderr.write(`still ${activity}, ${seconds} s\n`);
  }, INTERVAL_MILLISECONDS);
  try {
    return await work;
  } finally {
    clearInterval(timer);
  }
}
