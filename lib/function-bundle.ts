/**
 * How esbuild bundles a function: for `cdk synth`, and for `npm run dev` after each change. This file imports nothing, so
 * that both can use it.
 */
export const FUNCTION_BUNDLE = {
  target: 'node24',
  // The ES modules of packages that have both formats: CommonJS calls `require`, which ES modules lack.
  mainFields: ['module', 'main'],
  alias: { 'node:http': './lambda/node-http.cjs' },
};
