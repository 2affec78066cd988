// Preloaded by the npm scripts, in a dialect that old versions of Node can read: says what to do instead of failing on a syntax error.
const major = Number(process.versions.node.split('.')[0]);
if (major < 24) {
  process.stderr.write(
    `${[
      `This project needs Node.js 24 or newer, and this is ${process.versions.node}.`,
      'On Linux (x64, arm64) "npm ci" installs it into node_modules: run it, then use "npm start" or "npm test".',
      'On other systems install Node.js 24 first, from nodejs.org or with a version manager such as nvm or fnm.',
    ].join('\n')}\n`,
  );
  process.exit(1);
}
// What has been compiled is kept in the temporary folder: commands, the CDK app and tests start in half the time.
require('node:module').enableCompileCache();
