import { once } from 'node:events';
import { access, constants, mkdir } from 'node:fs/promises';
import net from 'node:net';

export interface Requirements {
  /** Ports that have to be free, by the variable that asks for each; 0 asks for nothing. */
  readonly requestedPorts: ReadonlyMap<string, number>;
  /** What `TMPDIR` names, or the system's own. */
  readonly temporaryDirectory: string;
  /** Holds `stack.json`; made where it is missing. */
  readonly stateDirectory: string;
}

/**
 * Checks, before anything slow is begun, what would otherwise make a start fail later.
 *
 * @throws Error with one line that says what is wrong and names the variable to change, where there is one
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
      `${variable}: port ${port} ${isTaken ? 'is taken' : 'may not be listened on'}; name another one, or 0 for any free one`,
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
