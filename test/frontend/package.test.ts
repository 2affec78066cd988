import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { build } from 'esbuild';

const LARGEST_BYTES = 3_000;

const projectRoot = join(import.meta.dirname, '../..');
const source = join(projectRoot, 'frontend');
const run = promisify(execFile);

/** A folder of a project that has installed the package, as `npm pack` would pack it. */
let consumer: string;
let manifest: {
  readonly exports: Readonly<Record<string, Readonly<Record<'types' | 'default', string>>>>;
  readonly files: readonly string[];
  readonly [member: string]: unknown;
};

beforeAll(async () => {
  manifest = JSON.parse(await readFile(join(source, 'package.json'), 'utf8'));
  consumer = await mkdtemp(join(tmpdir(), 'spotify-connection-'));
  const installed = join(consumer, 'node_modules/@bondhu/spotify-connection');
  await mkdir(installed, { recursive: true });
  await cp(join(source, 'package.json'), join(installed, 'package.json'));
  await tsc('-p', join(source, 'tsconfig.build.json'), '--outDir', join(installed, 'dist'));
  for (const name of ['react', 'react-dom', '@types', '@supabase']) {
    await symlink(join(projectRoot, 'node_modules', name), join(consumer, 'node_modules', name));
  }
});

afterAll(() => rm(consumer, { recursive: true, force: true }));

describe('the package', () => {
  test('needs nothing at run time but React, and that only for its hooks', () => {
    expect(manifest).not.toHaveProperty('dependencies');
    expect(manifest).toMatchObject({
      peerDependencies: { react: '>=18' },
      peerDependenciesMeta: { react: { optional: true } },
      sideEffects: false,
    });
  });

  test('contains what it exports', async () => {
    expect(manifest.files).toEqual(['dist']);
    for (const { types, default: script } of Object.values(manifest.exports)) {
      await readFile(join(consumer, 'node_modules/@bondhu/spotify-connection', types));
      await readFile(join(consumer, 'node_modules/@bondhu/spotify-connection', script));
    }
  });

  test('marks its hooks as client code, and nothing else', async () => {
    const textOf = (name: string) =>
      readFile(join(consumer, 'node_modules/@bondhu/spotify-connection/dist', name), 'utf8');
    expect(await textOf('react.js')).toMatch(/^'use client';/);
    expect(await textOf('index.js')).not.toContain('use client');
  });
});

describe('minified and compressed', () => {
  test.each<[string, string]>([
    ['the client and the store', "export * from '@bondhu/spotify-connection'"],
    ['the hooks', "export * from '@bondhu/spotify-connection/react'"],
    [
      'everything together',
      "export * from '@bondhu/spotify-connection'; export * from '@bondhu/spotify-connection/react'",
    ],
  ])('%s: under 3 kB', async (_name, code) => {
    expect(gzipSync(await bundle(code), { level: 9 }).byteLength).toBeLessThan(LARGEST_BYTES);
  });
});

describe('what a page does not use it does not load:', () => {
  test('nothing comes of an import that names nothing', async () => {
    expect(
      await bundle("import '@bondhu/spotify-connection'; import '@bondhu/spotify-connection/react'"),
    ).toBe('');
  });

  test('nothing comes of an import that is not used', async () => {
    const names = Object.keys(await import(join(source, 'src/index.ts')));
    expect(names.length).toBeGreaterThan(3);
    expect(await bundle(`import { ${names.join(', ')} } from '@bondhu/spotify-connection'`)).toBe('');
  });

  test('the landing comes without client and store', async () => {
    const code = await bundle("export { readLanding } from '@bondhu/spotify-connection'");
    expect(code).toContain('replaceState');
    expect(code).not.toMatch(/Bearer|localStorage|setTimeout/);
  });

  test('the client comes without store and landing', async () => {
    const code = await bundle("export { createStatusClient } from '@bondhu/spotify-connection'");
    expect(code).toContain('Bearer');
    expect(code).not.toMatch(/localStorage|replaceState|visibilitychange/);
  });
});

test('on a server it renders, touches nothing that only browsers have, and says nothing', async () => {
  const { stdout, stderr } = await runModule(`
    import { createElement } from 'react';
    import { renderToString } from 'react-dom/server';
    import { getConnectionStore, createStatusClient } from '@bondhu/spotify-connection';
    import { useSpotifyConnection, useSpotifyLanding } from '@bondhu/spotify-connection/react';

    globalThis.fetch = () => { throw new Error('a server asks for no user'); };
    for (const name of ['window', 'document', 'localStorage', 'location', 'history']) {
      Object.defineProperty(globalThis, name, { get() { throw new Error(name + ' on a server'); } });
    }
    const client = createStatusClient({ baseUrl: 'http://127.0.0.1:9', getAccessToken: () => 'token' });
    function Page() {
      useSpotifyLanding({});
      return createElement('p', null, useSpotifyConnection({ client, userId: 'anna' }).state);
    }
    console.log(renderToString(createElement(Page)));
  `);
  expect(stdout).toBe('<p>checking</p>\n');
  expect(stderr).toBe('');
});

describe('the guide', () => {
  test('shows code that works with the package as it is', async () => {
    const guide = await readFile(join(source, 'README.md'), 'utf8');
    // Blocks that begin with the path of a file; the one from before the change begins with "// before".
    const blocks = [...guide.matchAll(/```tsx\n\/\/ (\S+\/\S+)\n(.*?)```/gs)];
    expect(blocks.length).toBeGreaterThan(4);
    await Promise.all(['lib', 'components'].map((folder) => mkdir(join(consumer, folder))));
    for (const [, path = '', code = ''] of blocks) await writeFile(join(consumer, path), code);
    await writeFile(
      join(consumer, 'lib/supabase.ts'),
      "import { createClient } from '@supabase/supabase-js'; export const supabase = createClient('', '');",
    );
    await writeFile(
      join(consumer, 'lib/declarations-are-found.ts'),
      `import type { Connection } from '@bondhu/spotify-connection';
       // @ts-expect-error: where a declaration is not found, everything is allowed
       export const connection: Connection = 7;`,
    );
    const compilerOptions = {
      strict: true,
      skipLibCheck: true,
      noEmit: true,
      target: 'es2022',
      lib: ['es2022', 'dom'],
      jsx: 'react-jsx',
      module: 'esnext',
      moduleResolution: 'bundler',
      types: ['node'],
    };
    await writeFile(
      join(consumer, 'tsconfig.json'),
      JSON.stringify({ compilerOptions, include: ['lib', 'components'] }),
    );

    await tsc('-p', consumer);
  });

  test('names the largest size and the place of storage that hold', async () => {
    const guide = await readFile(join(source, 'README.md'), 'utf8');
    const { LAST_KNOWN_STATUS_KEY } = await import(join(source, 'src/last-known-status.ts'));
    expect(guide).toContain(`under ${LARGEST_BYTES / 1_000} kB compressed`);
    expect(guide).toContain(`\`${LAST_KNOWN_STATUS_KEY}\``);
  });
});

async function bundle(code: string): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: consumer },
    bundle: true,
    minify: true,
    format: 'esm',
    external: ['react'],
    write: false,
    logLevel: 'error',
  });
  return outputFiles[0]?.text ?? '';
}

async function runModule(code: string): Promise<{ stdout: string; stderr: string }> {
  const file = join(consumer, 'page.mjs');
  await writeFile(file, code);
  return run(process.execPath, [file], { env: { NODE_ENV: 'development' } });
}

async function tsc(...parameters: string[]): Promise<void> {
  const script = join(projectRoot, 'node_modules/typescript/bin/tsc');
  await run(process.execPath, [script, ...parameters]).catch((error: { stdout: string }) => {
    throw new Error(error.stdout);
  });
}
