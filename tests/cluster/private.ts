/**
 * The cluster's machine inside the machine: namespaces of our own for mounts,
 * processes, networks, IPC and the host name, with layers of our own over /etc,
 * /opt and /var, so that a real node can live in its usual places. The kernel
 * ends all of it with the first process; only control groups and one directory
 * outlive it, and `runInside` removes both.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { createGroups, removeGroups } from "./cgroup.ts";

const marker = "GENIE_CLUSTER_FOLDER";

/** The directory of all files of this run; undefined outside. */
export function insideDirectory(): string | undefined {
  return process.env[marker];
}

/** The control group below which everything runs. */
export function groupName(directory: string): string {
  return basename(directory);
}

// containerd mounts overlays and the kubelet is asked for mounts that propagate,
// so these directories are real ones and the tree is shared, within this namespace.
const prelude = `
set -e
mount -t tmpfs -o mode=0755 tmpfs /run
for name in etc opt var; do
  mkdir -p "$GENIE_CLUSTER_FOLDER/upper/$name" "$GENIE_CLUSTER_FOLDER/work/$name"
  mount -t overlay -o "lowerdir=/$name,upperdir=$GENIE_CLUSTER_FOLDER/upper/$name,workdir=$GENIE_CLUSTER_FOLDER/work/$name" overlay "/$name"
done
for name in /var/lib/containerd /var/lib/kubelet /var/lib/cni /etc/cni /opt/cni; do
  mkdir -p "$name" "$GENIE_CLUSTER_FOLDER/real$name"
  mount --bind "$GENIE_CLUSTER_FOLDER/real$name" "$name"
done
mount --make-rshared /
hostname node1
ip link set lo up
set +e
"$@" &
wait $!
`;

/** Runs a script of ours in there; its exit code, 3 when it had to be killed after `seconds`. */
export async function runInside(
  script: string,
  env: Readonly<Record<string, string>>,
  seconds: number,
): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), "genie-cluster-"));
  createGroups(groupName(directory));
  const child = Bun.spawn({
    cmd: [
      // Each of the two ends with its parent.
      "setpriv",
      "--pdeathsig=KILL",
      "unshare",
      "--mount",
      "--pid",
      "--net",
      "--ipc",
      "--uts",
      "--fork",
      "--kill-child=KILL",
      "--mount-proc",
      // A shell is the first process, because somebody must collect the orphans.
      "sh",
      "-c",
      prelude,
      "sh",
      process.execPath,
      script,
    ],
    env: {
      ...process.env,
      ...env,
      PATH: `${process.env["PATH"] ?? "/usr/bin:/bin"}:/usr/sbin:/sbin`,
      [marker]: directory,
      TMPDIR: directory,
      // None of what runs in there may be sent elsewhere.
      HTTP_PROXY: "",
      HTTPS_PROXY: "",
      http_proxy: "",
      https_proxy: "",
    },
    stdio: ["ignore", "inherit", "inherit"],
    timeout: seconds * 1000,
    killSignal: "SIGKILL",
  });
  const interrupt = () => child.kill("SIGKILL");
  process.on("SIGINT", interrupt).on("SIGTERM", interrupt);
  try {
    const exitCode = await child.exited;
    return child.signalCode === null ? exitCode : 3;
  } finally {
    await removeGroups(groupName(directory));
    rmSync(directory, { recursive: true, force: true });
  }
}
