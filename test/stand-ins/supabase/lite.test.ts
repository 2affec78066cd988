import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';

test('a process that has loaded it survives a warning of Node', async () => {
  const script = `
    import { EventEmitter } from 'node:events';
    await import(${JSON.stringify(new URL('../../../stand-ins/supabase/lite.ts', import.meta.url))});
    const emitter = new EventEmitter().setMaxListeners(1);
    emitter.on('data', () => {}).on('data', () => {});
    console.log('survived');`;
  const node = promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script]);

  const { stdout, stderr } = await node;

  expect(stdout).toBe('survived\n');
  expect(stderr).toContain('MaxListenersExceededWarning');
});
