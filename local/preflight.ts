import { once } from 'node:events';
import { access, constants, mkdir } from 'node:fs/promises';
import net from 'node:net';

export interface Requirements {
  /** Ports that must be free, by the variable that requests each; 0 is any free port. */
  readonly requestedPorts: ReadonlyMap<string, number>;
  /** The folder in `TMPDIR`, or the system's own. */
  readonly temporaryDirectory: string;
  /** Contains `stack.json`; created if it is missing. */
  readonly stateDirectory: string;
}

/**
 * Checks everything that would make a start fail later, before anything slow begins.
 *
 * @throws Error with one line that describes the problem and names the variable to change, if there is one
 */
export async function checkRequirements({
  requestedPorts,
  temporaryDirectory,
  stateDirectory,
}: Requirements): Promise<void> {
  const ports = [...requestedPorts].filter(([, port]) => port !== 0);
  for (const [variable, port] of ports) {
    const twin = ports.find(([other, otherPort]) => other !== variable && otherPort === port)?.[0];
    if (twin) throw new Error(`${variable} and ${twin} are both ${port}: give each server a port of its own`);
    await checkPort(variable, port);
  }
  await checkFolder(
    temporaryDirectory,
    `TMPDIR must name a folder that temporary files can be written to, got "${temporaryDirectory}"`,
  );
  await mkdir(stateDirectory, { recursive: true }).catch(() => {});
  await checkFolder(
    stateDirectory,
    `${stateDirectory} cannot be written to: start from a copy of the project that is not read-only`,
  );
}

async function checkPort(variable: string, port: number): Promise<void> {
  const probe = net.createServer();
  try {
    probe.listen(port, '127.0.0.1');
    await once(probe, 'listening');
  } catch (cause) {
    const isTaken = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE';
    throw new Error(
      `${variable}: port ${port} ${isTaken ? 'is taken' : 'needs more rights'}; name another one, or 0 for any free one`,
      { cause },
    );
  }
  probe.close();
  await once(probe, 'close');
}

async function checkFolder(path: string, complaint: string): Promise<void> {
  try {
    await access(path, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new Error(complaint, { cause });
  }
}
