import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';

/**
 * All that standard input holds. Nothing that is typed at a terminal appears on it.
 *
 * @param invitation what to type, for somebody who sits at a terminal
 */
export async function readStandardInput(invitation: string): Promise<string> {
  if (!process.stdin.isTTY) return text(process.stdin);
  process.stderr.write(`${invitation}\n`);
  return readUnseen(process.stdin);
}

/**
 * What somebody types or pastes at a terminal, without an echo, until it is complete JSON, or Ctrl-D. Ctrl-C ends the
 * process, as it does elsewhere.
 */
export async function readUnseen(terminal: NodeJS.ReadStream): Promise<string> {
  const output = new Writable({ write: (_chunk, _encoding, done) => done() });
  // With `terminal`, readline switches the echo off, and writes what is typed to its own output.
  const lines = createInterface({ input: terminal, output, terminal: true, historySize: 0 });
  lines.once('SIGINT', () => {
    lines.close();
    process.kill(process.pid, 'SIGINT');
  });
  let typed = '';
  for await (const line of lines) {
    typed += `${line}\n`;
    if (isJson(typed)) break;
  }
  lines.close();
  return typed;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
