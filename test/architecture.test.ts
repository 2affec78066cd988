import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { describe, expect, test } from '@jest/globals';

const ROOT = join(import.meta.dirname, '..');
const SHARED_FILES = ['lambda/environment-variables.ts', 'lambda/metric-names.ts'];

/** A file of ours imports another file of ours. */
type Import = { readonly from: string; readonly to: string };

const files = [...sourcesIn('lambda'), ...sourcesIn('lib')];
const imports = files.flatMap(importsOf);

describe('imports run one way', () => {
  test('there are imports to look at', () => {
    expect(imports).toContainEqual({
      from: 'lambda/status/handler.ts',
      to: 'lambda/composition/create-adapters.ts',
    });
    expect(imports.length).toBeGreaterThan(50);
  });

  test('the domain imports nothing but itself and the names of metrics, packages included', () => {
    const allowed = /^lambda\/(connection\/|metric-names\.ts$)/;
    expect(importsFrom(/^lambda\/connection\//).filter(({ to }) => !allowed.test(to))).toEqual([]);
    expect(files.filter((file) => file.startsWith('lambda/connection/')).flatMap(packagesOf)).toEqual([]);
  });

  test('use cases import their own folder and the domain, no adapter', () => {
    for (const useCase of ['status', 'sweeper']) {
      const own = new RegExp(`^lambda/(${useCase}|connection)/`);
      const fromUseCase = importsFrom(new RegExp(`^lambda/${useCase}/`)).filter(
        ({ from }) => !isHandler(from),
      );
      expect(fromUseCase.filter(({ to }) => !own.test(to) || isHandler(to))).toEqual([]);
    }
  });

  test('adapters import adapters, the domain and names, no use case', () => {
    const allowed = /^lambda\/(adapters|connection)\//;
    const fromAdapters = importsFrom(/^lambda\/adapters\//);
    expect(fromAdapters.filter(({ to }) => !allowed.test(to) && !SHARED_FILES.includes(to))).toEqual([]);
  });

  test('nobody imports a handler', () => {
    expect(imports.filter(({ to }) => isHandler(to))).toEqual([]);
  });
});

describe('lib/ and lambda/ share names', () => {
  test('and nothing else', () => {
    const across = imports.filter(({ from, to }) => topOf(from) !== topOf(to));
    expect(across.map(({ to }) => to)).toContain('lambda/environment-variables.ts');
    expect(across.filter(({ to }) => !SHARED_FILES.includes(to))).toEqual([]);
  });

  test('in files that import nothing', () => {
    expect(SHARED_FILES.flatMap(specifiersIn)).toEqual([]);
  });
});

function sourcesIn(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => join(folder, file));
}

function specifiersIn(file: string): string[] {
  const source = readFileSync(join(ROOT, file), 'utf8');
  const matches = source.matchAll(
    /^(?:import|export)\s(?:[^'";]*?\sfrom\s)?'([^']+)';|\bimport\('([^']+)'\)/gm,
  );
  return [...matches].map(([, fromStatement, fromCall]) => fromStatement ?? fromCall ?? '');
}

function importsOf(file: string): Import[] {
  return specifiersIn(file)
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => ({
      from: file,
      to: relative(ROOT, join(ROOT, normalize(join(dirname(file), specifier)))),
    }));
}

function packagesOf(file: string): string[] {
  return specifiersIn(file).filter((specifier) => !specifier.startsWith('.'));
}

function importsFrom(pattern: RegExp): Import[] {
  return imports.filter(({ from }) => pattern.test(from));
}

function isHandler(file: string): boolean {
  return file.endsWith('/handler.ts');
}

function topOf(file: string): string {
  return file.split('/')[0] ?? '';
}
