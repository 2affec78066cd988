/**
 * How esbuild bundles a function. `cdk synth` does it for a deployment, and `npm run dev` after each change; it imports
 * nothing, so that both can have it.
 */
export const FUNCTION_BUNDLE = {
  target: 'node24',
  // The ES modules of packages that have both: their CommonJS calls `require`, which an ES module has not.
  mainFields: ['module', 'main'],
  alias: { 'node:http': './lambda/node-http.cjs' },
};
