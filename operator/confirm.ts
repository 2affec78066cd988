import { createInterface } from 'node:readline/promises';

/** Asks at a terminal. Everything but yes means no, including the end of the input. */
export async function confirm(
  question: string,
  input: NodeJS.ReadableStream,
  output: NodeJS.WritableStream,
): Promise<boolean> {
  const terminal = createInterface({ input, output });
  const end = new AbortController();
  terminal.once('close', () => end.abort());
  try {
    const answer = await terminal.question(`${question} [y/N] `, { signal: end.signal });
    return /^\s*y(es)?\s*$/i.test(answer);
  } catch (error) {
    if (!end.signal.aborted) throw error;
    return false;
  } finally {
    terminal.close();
  }
}
