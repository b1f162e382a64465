/**
 * Networks that have a default route each, pods in several of them, and a host outside
 * that pings them: the response must leave by the interface of the pinged address.
 */
import { Netns } from "./netns.ts";
import type { Node, Pod } from "./node.ts";
import { pingedBy } from "./traffic.ts";
import { Cluster } from "./cluster.ts";

/** Addresses of the host outside. */
export const outside4 = "192.0.2.9";
export const outside6 = "fd99::9";

export type Families = "dual" | "4" | "6";

export class RoutedCluster implements AsyncDisposable {
  readonly cluster: Cluster;
  readonly node: Node;
  readonly #outside: Netns;

  private constructor(cluster: Cluster, outside: Netns) {
    this.cluster = cluster;
    this.node = cluster.node;
    this.#outside = outside;
  }

  /**
   * A node that forwards, with the networks `alpha` (a bridge, 10.71.0.0/24), `beta`
   * (point to point, 10.72.0.0/24) and `gamma` (a bridge, 10.73.0.0/24), fd71::/64 and so on.
   */
  static async start(
    families: Partial<Record<"alpha" | "beta" | "gamma", Families>> = {},
  ): Promise<RoutedCluster> {
    const cluster = await Cluster.start();
    const { node } = cluster;
    const outside = await Netns.create();
    await noDuplicateAddressDetection(node.netns);
    await node.netns.run(
      "sh",
      "-ec",
      `echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
       ip link add out0 type veth peer name out1
       ip link set out1 netns ${outside.name}
       ip addr add 192.0.2.1/24 dev out0; ip addr add fd99::1/64 dev out0 nodad; ip link set out0 up
       ip route add default via ${outside4}`,
    );
    await outside.run(
      "sh",
      "-ec",
      `ip addr add ${outside4}/24 dev out1; ip addr add ${outside6}/64 dev out1 nodad; ip link set out1 up
       ip route add default via 192.0.2.1; ip -6 route add default via fd99::1`,
    );
    const bridge = { type: "bridge", isGateway: true };
    const plugins = {
      alpha: { ...bridge, bridge: "alpha0" },
      beta: { type: "ptp" },
      gamma: { ...bridge, bridge: "gamma0" },
    };
    for (const [i, [name, plugin]] of Object.entries(plugins).entries()) {
      const ofName = families[name as keyof typeof plugins] ?? "dual";
      node.network(`0${i + 1}-${name}.conf`, {
        cniVersion: name === "beta" ? "0.4.0" : "1.0.0",
        name: `${name}-net`,
        ...plugin,
        ipam: ipam(node, 71 + i, ofName),
      });
    }
    return new RoutedCluster(cluster, outside);
  }

  /** A new pod in these networks (`cni`), not attached yet. */
  async pod(cni: string, more: Record<string, unknown> = {}): Promise<Pod> {
    const pod = await this.cluster.pod({ cni, ...more });
    await noDuplicateAddressDetection(pod.netns);
    return pod;
  }

  /** Per address of the pod: the interface of its ping responses to the host outside. */
  async answers(pod: Pod): Promise<Record<string, string | undefined>> {
    const found: Record<string, string | undefined> = {};
    for (const { addresses } of await pod.netns.links()) {
      for (const cidr of addresses) {
        const [address = ""] = cidr.split("/");
        found[address] = await pingedBy(pod.netns, this.#outside, address);
      }
    }
    return found;
  }

  /** The interface by which the pod's own packets leave for an address outside. */
  async leaves({ netns }: Pod, address: string): Promise<string | undefined> {
    return pingedBy(netns, netns, address);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#outside.remove();
    await this.cluster[Symbol.asyncDispose]();
  }
}

function ipam(node: Node, n: number, families: Families): object {
  const subnets = { 4: `10.${n}.0.0/24`, 6: `fd${n}::/64` };
  const defaults = { 4: "0.0.0.0/0", 6: "::/0" };
  const chosen = families === "dual" ? (["4", "6"] as const) : [families];
  return node.ipam("", {
    ranges: chosen.map((family) => [{ subnet: subnets[family] }]),
    routes: chosen.map((family) => ({ dst: defaults[family] })),
  });
}

/** Plugins wait until an address has passed it, for a second and more. */
export async function noDuplicateAddressDetection(netns: Netns): Promise<void> {
  const directory = "/proc/sys/net/ipv6/conf";
  await netns.run(
    "sh",
    "-ec",
    `echo 0 >${directory}/all/accept_dad; echo 0 >${directory}/default/accept_dad`,
  );
}

/** The routes and rules of a pod, from `ip`. */
export interface Shown {
  /** Default routes of the main table, both families: `via … dev …`. */
  main: string[];
  /** `from 10.72.0.2 lookup 1000`. */
  rules: string[];
  /** `1000 default via … dev …`. */
  tables: string[];
}

export async function shown({ netns }: Pod): Promise<Shown> {
  const ip = async (...command: string[]) =>
    (await netns.run("sh", "-ec", command.map((one) => `ip ${one}`).join(";")))
      .split("\n")
      .map((line) => line.trim());
  const main = await ip("-4 route show default", "-6 route show default");
  const rules = await ip("-4 rule", "-6 rule");
  const all = await ip("-4 route show table all", "-6 route show table all");
  return {
    main: main.flatMap((line) => /(?:via \S+ )?dev \S+/.exec(line)?.[0] ?? []),
    rules: rules.flatMap((line) => {
      const [, priority, rule] =
        /^(\d+):\s+(from \S+ lookup \d+)/.exec(line) ?? [];
      return rule ? [`${priority} ${rule}`] : [];
    }),
    tables: all.flatMap((line) => {
      const [, route, table] =
        /^(default .*dev \S+) table (\d+)/.exec(line) ?? [];
      return route ? [`${table} ${route}`] : [];
    }),
  };
}
