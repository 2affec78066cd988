/**
 * Preloaded (`--import`) into the process of a function, before AWS's runtime client (`aws-lambda-ric`) starts.
 * Gives the client a JavaScript `rapid-client.node`, so that nothing has to be compiled on this machine.
 *
 * Plain JavaScript: stripping types would add 70 ms to every cold start.
 */
import { registerHooks } from 'node:module';

const nativeClientUrl = new URL('native-client.mjs', import.meta.url).href;

registerHooks({
  resolve(specifier, context, nextResolve) {
    if (specifier === './rapid-client.node') return { url: nativeClientUrl, shortCircuit: true };
    return nextResolve(specifier, context);
  },
});
