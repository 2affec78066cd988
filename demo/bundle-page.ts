import { build } from 'esbuild';

export interface PageBundle {
  readonly script: string;
  readonly style: string;
}

/**
 * Bundles a page's script and style for browsers of today.
 *
 * @param page path of `<page>.tsx` and `<page>.css`
 * @throws esbuild's error where the sources have one
 */
export async function bundlePage(page: string): Promise<PageBundle> {
  const { outputFiles } = await build({
    entryPoints: [`${page}.tsx`, `${page}.css`],
    outdir: '.',
    bundle: true,
    write: false,
    minify: true,
    format: 'esm',
    target: 'es2023',
    jsx: 'automatic',
    // The package as it is in this repository, not as it was built last.
    conditions: ['@bondhu/source'],
    define: { 'process.env.NODE_ENV': '"production"' },
  });
  const textOf = (extension: string) => outputFiles.find(({ path }) => path.endsWith(extension))?.text ?? '';
  return { script: textOf('.js'), style: textOf('.css') };
}
