/**
 * The flags that Lambda starts Node.js with. They win over the same ones in `NODE_OPTIONS`, because they stand on the command
 * line. The script that does so, `/var/runtime/bootstrap`, is in AWS's base images
 * (https://docs.aws.amazon.com/lambda/latest/dg/nodejs-image.html); AWS's runtime client names three of the four where it
 * keeps them from its workers.
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
