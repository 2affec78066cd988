/**
 * The flags that Lambda starts Node.js with. They are on the command line, so they override `NODE_OPTIONS`. The script
 * `/var/runtime/bootstrap` in AWS's base images passes them (https://docs.aws.amazon.com/lambda/latest/dg/nodejs-image.html);
 * AWS's runtime client lists three of the four, which it does not pass on to its workers.
 *
 * @param memoryMegabytes the function's memory
 */
export function nodeFlags(memoryMegabytes: number): readonly string[] {
  const youngMegabytes = Math.floor(memoryMegabytes / 10);
  return [
    '--expose-gc',
    '--max-http-header-size=81920',
    `--max-semi-space-size=${Math.floor(youngMegabytes / 2)}`,
    `--max-old-space-size=${memoryMegabytes - youngMegabytes}`,
  ];
}
