/**
 * A second node for checks that need one: a machine inside the machine, in namespaces of
 * its own for mounts, processes, networks, IPC and the host name, with containerd,
 * kubelet and networks of its own. A veth pair joins it to the first node's bridge.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../../scripts/run.ts";
import { createGroup, removeGroups } from "./cgroup.ts";
import { type Containerd, containerd } from "./containerd.ts";
import type { Daemon } from "./daemon.ts";
import { busybox, pause } from "./image.ts";
import { kubelet } from "./kubelet.ts";
import { installNetworks } from "./networks.ts";
import type { Cluster } from "./node.ts";
import { type Place, firstNode, nodeAddress } from "./place.ts";
import { until } from "./until.ts";

export interface SecondNode extends AsyncDisposable, Place {
  runtime: Containerd;
  kubelet: Daemon;
  /** Runs a command there; its stdout. */
  run(...cmd: string[]): Promise<string>;
}

/** Directories of its own; the others are those of the first node. */
const own = [
  "/run",
  "/etc/cni",
  "/etc/containerd",
  "/etc/genie",
  "/etc/kubernetes",
  "/opt/cni",
  "/var/lib/cni",
  "/var/lib/containerd",
  "/var/lib/kubelet",
];

const prelude = `
set -e
for name in ${own.join(" ")}; do mkdir -p "$name"; mount --bind "$ROOT$name" "$name"; done
mkdir -p /run/netns
mount --make-rshared /
hostname node2
ip link set lo up
touch "$ROOT/ready"
sleep 2000000000 &
wait $!
`;

const address = "192.168.77.11";

/** Starts it; it is Ready. Its networks are flannel and canal (10.244.2.0/24, 10.245.2.0/24), without genie. `kubeletOptions`: for instance `--register-with-taints=…`. */
export async function startSecondNode(
  { parts, directory, kubectl, ...plane }: Cluster,
  ...kubeletOptions: readonly string[]
): Promise<SecondNode> {
  // Nothing of an earlier one.
  const root = mkdtempSync(join(directory, "node2-"));
  for (const path of own) mkdirSync(join(root, path), { recursive: true });
  const machine = Bun.spawn({
    cmd: [
      "setpriv",
      "--pdeathsig=KILL",
      "unshare",
      ..."--mount --pid --net --ipc --uts --fork --kill-child=KILL --mount-proc".split(
        " ",
      ),
      "sh",
      "-c",
      prelude,
    ],
    env: { ...process.env, ROOT: root },
    stdio: ["ignore", "inherit", "inherit"],
  });
  await until("the second machine", 30, () => existsSync(join(root, "ready")));
  const first = firstProcess(machine.pid);
  const enter = [
    "nsenter",
    `--target=${first}`,
    ..."-m -p -n -i -u".split(" "),
  ];
  const place: Place = {
    name: "node2",
    address,
    server: `https://${nodeAddress}:443`,
    root,
    group: createGroup(`${firstNode(directory).group}/node2`),
    subnet: 2,
    command: (cmd) => [...enter, "--wd=/", "--", ...cmd],
  };
  const inside = (...cmd: string[]) => run(place.command(cmd));
  await joinNetwork(first, inside);
  installNetworks(parts, place);
  const runtime = containerd(parts, directory, "debian", place);
  await runtime.daemon.start();
  await runtime.load(pause);
  await runtime.load(await busybox());
  const node = await kubelet(
    parts,
    directory,
    { kubectl, ...plane },
    place,
    kubeletOptions,
  );
  await node.start();
  await kubectl.run(
    ..."wait --for=condition=Ready node/node2 --timeout=60s".split(" "),
  );
  return {
    ...place,
    runtime,
    kubelet: node,
    run: inside,
    async [Symbol.asyncDispose]() {
      machine.kill("SIGKILL");
      await machine.exited;
      await removeGroups(place.group);
      await kubectl.attempt("delete", "node", place.name);
    },
  };
}

/** As this process numbers it. */
function firstProcess(unshare: number): number {
  const children = `/proc/${unshare}/task/${unshare}/children`;
  return Number(readFileSync(children, "utf8").trim());
}

async function joinNetwork(
  pid: number,
  inside: (...cmd: string[]) => Promise<string>,
): Promise<void> {
  const ip = (text: string) => text.split(" ");
  // The kernel removes the link of an earlier one in its own time.
  await until("the link to the first node", 30, () =>
    run(ip(`ip link add node2 type veth peer name uplink netns ${pid}`)),
  );
  await run(ip("ip link set node2 master node0 up"));
  await inside(...ip(`ip address add ${address}/24 dev uplink`));
  await inside(...ip("ip link set uplink up"));
  // The service "kubernetes" too is an address of the first node.
  await inside(...ip(`ip route add default via ${nodeAddress}`));
}
