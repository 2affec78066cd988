// Replaces `node:http` in the bundles (lib/function-bundle.ts). An ES module that imports the real one reads
// all of its exports, and one of them loads what `fetch` consists of: a tenth of a cold start, for nothing
// (docs/decisions/0012).
module.exports = process.getBuiltinModule('node:http');
