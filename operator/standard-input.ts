import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';

/**
 * Reads all of standard input. A terminal does not echo what is typed.
 *
 * @param invitation says what to type, if standard input is a terminal
 */
export async function readStandardInput(invitation: string): Promise<string> {
  if (!process.stdin.isTTY) return text(process.stdin);
  process.stderr.write(`${invitation}\n`);
  return readUnseen(process.stdin);
}

/**
 * Reads from a terminal, without an echo, until the text is complete JSON, or until Ctrl-D. Ctrl-C ends the
 * process, as usual.
 */
export async function readUnseen(terminal: NodeJS.ReadStream): Promise<string> {
  const output = new Writable({ write: (_chunk, _encoding, done) => done() });
  // With `terminal`, readline switches the echo off, and writes typed characters to its own output.
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
