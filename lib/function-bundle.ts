/**
 * How esbuild bundles a function. `cdk synth` does it for a deployment, and `npm run dev` after each change; it imports
 * nothing, so that both can have it.
 */
export const FUNCTION_BUNDLE = {
  target: 'node24',
  // The ES modules of packages that have both: their CommonJS calls `require`, which an ES module has not.
  mainFields: ['module', 'main'],
  // Loaded only where the environment has no credentials, as it always has on Lambda: a sixth of the bundle.
  external: ['ini', 'login', 'process', 'sso', 'web-identity'].map(
    (source) => `@aws-sdk/credential-provider-${source}`,
  ),
  alias: { 'node:http': './lambda/node-http.cjs' },
};
