import { text } from 'node:stream/consumers';

/**
 * All that standard input holds.
 *
 * @param invitation what to type, for somebody who sits at a terminal
 */
export async function readStandardInput(invitation: string): Promise<string> {
  if (process.stdin.isTTY) process.stderr.write(`${invitation}\n`);
  return text(process.stdin);
}
