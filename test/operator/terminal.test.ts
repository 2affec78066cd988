import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { confirm } from '../../operator/confirm.ts';
import { readUnseen } from '../../operator/standard-input.ts';

/** What a terminal is to a program: what is typed, and whether the terminal itself shows it. */
class Keyboard extends PassThrough {
  readonly isTTY = true;
  /** In raw mode the terminal shows nothing by itself. */
  readonly rawModes: boolean[] = [];

  setRawMode(isRaw: boolean): this {
    this.rawModes.push(isRaw);
    return this;
  }
}

let keyboard: Keyboard;

beforeEach(() => {
  keyboard = new Keyboard();
});

describe('a secret at a terminal', () => {
  const read = () => readUnseen(keyboard as unknown as NodeJS.ReadStream);

  test('is read with the echo off, which comes back on, and ends with its last brace', async () => {
    const typed = read();
    expect(keyboard.rawModes).toEqual([true]);
    keyboard.write('{"client_id": "a",\r"client_secret": "b"}\r');

    expect(JSON.parse(await typed)).toEqual({ client_id: 'a', client_secret: 'b' });
    expect(keyboard.rawModes).toEqual([true, false]);
  });

  test('can be corrected like any line', async () => {
    const typed = read();
    keyboard.write('{"client_id": "x\u007fa"}\r');

    expect(JSON.parse(await typed)).toEqual({ client_id: 'a' });
  });

  test('ends with Ctrl-D where it is no JSON', async () => {
    const typed = read();
    keyboard.write('the-secret-itself\r\u0004');

    expect(await typed).toBe('the-secret-itself\n');
  });
});

describe('a question', () => {
  test.each([
    ['y', true],
    ['YES', true],
    [' y ', true],
    ['', false],
    ['n', false],
    ['yesterday', false],
  ])('is answered by %j: %j', async (answer, expected) => {
    const output = new PassThrough();
    const confirmed = confirm('Restore 12 connections?', keyboard, output);
    keyboard.write(`${answer}\n`);

    expect(await confirmed).toBe(expected);
    output.end();
    expect(await text(output)).toBe('Restore 12 connections? [y/N] ');
  });

  test('no answer means no', async () => {
    const confirmed = confirm('Restore 12 connections?', keyboard, new PassThrough());
    keyboard.end();

    expect(await confirmed).toBe(false);
  });
});
