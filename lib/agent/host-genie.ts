/**
 * Executes the installed genie where the container runtime executes it: in the mount
 * namespace of the host's process 1, so that records, locks and network namespaces are
 * the same ones (agent.md). Outside of a container that is the own one.
 */
import { Deadline } from "../linux/deadline.ts";
import { execDelegate } from "../linux/exec.ts";
import { inMountNamespace } from "../linux/enter-namespace.ts";
import { mountNamespace } from "../linux/netns.ts";

export interface GenieResult {
  /** -1: a signal ended it. */
  code: number;
  stdout: string;
  stderr: string;
}

export interface HostGenie {
  /** The installed executable, as the host sees it. */
  path: string;
  /** Where the node's file system is mounted here; "/" outside of a container. */
  root: string;
  /** Mount namespaces: the own one and that of process 1; for tests. */
  namespaces?: { own: string | undefined; first: string | undefined };
}

/** Milliseconds. `genie gc` with attachments that hang is the longest. */
const limitMs = 900_000;

/** The reason why the host's genie cannot be executed here; undefined if it can. */
export function whyNoHost({
  root,
  namespaces = namespacesOf(root),
}: HostGenie): string | undefined {
  // Not in a container: genie itself looks whether it sees the runtime's namespaces.
  if (root === "/") return undefined;
  const { own, first } = namespaces;
  if (first === undefined)
    return "the mount namespace of process 1 cannot be read: the container is not privileged";
  // Without hostPID process 1 is the container's own.
  return first === own
    ? "process 1 is not the host's: hostPID is missing"
    : undefined;
}

/** Throws Error when the host cannot be entered, and the errno of the execution. */
export async function runHostGenie(
  host: HostGenie,
  args: readonly string[],
  { stdin = "" }: { stdin?: string } = {},
): Promise<GenieResult> {
  const why = whyNoHost(host);
  if (why !== undefined) throw new Error(`failed to execute genie: ${why}`);
  const { own, first } = host.namespaces ?? namespacesOf(host.root);
  const result = await execDelegate({
    path: host.path,
    args,
    // Its credential is the one of the node's configuration, not that of our pod.
    env: {
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    },
    stdin,
    deadline: new Deadline(limitMs),
    inherit: [],
    ...(first !== undefined &&
      own !== first && {
        enter: (start) => inMountNamespace("/proc/1/ns/mnt", start),
      }),
  });
  const { exitCode, stdout, stderr } = result;
  return { code: exitCode ?? -1, stdout, stderr };
}

/** Outside of a container process 1 need not be readable: a security module may hide it. */
function namespacesOf(root: string) {
  const own = mountNamespace();
  return {
    own,
    first: mountNamespace("1") ?? (root === "/" ? own : undefined),
  };
}
