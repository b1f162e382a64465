/**
 * A blank `cni`: CNI-Genie's logical networks with the objects of its samples, and
 * automatic choice (selection.md §9, §10). The node is afterwards as it was; the kinds
 * stay.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../../../scripts/run.ts";
import { Daemon } from "../daemon.ts";
import { expectAddresses, expectEqual } from "../expect.ts";
import { untilRuntimeReads } from "../genie.ts";
import { confDir, prefixes } from "../networks.ts";
import type { Kubectl } from "../kubectl.ts";
import type { Cluster } from "../node.ts";
import {
  type Annotations,
  type Pod,
  addresses,
  createPods,
  deletePods,
  eventOf,
  podObject,
  waitReady,
} from "../pod.ts";
import type { Report } from "../report.ts";
import { until } from "../until.ts";
import { expectNothing } from "./pods.ts";

const object = (kind: string, name: string, spec: object): object => ({
  apiVersion: "alpha.network.k8s.io/v1",
  kind,
  metadata: { name, namespace: "default" },
  spec,
});

/** CNI-Genie's samples, with their typing error. */
const samples = [
  object("Logicalnetwork", "net1", {
    physicalNet: "phynet1",
    sub_subnet: "10.32.0.0/24",
  }),
  object("Logicalnetwork", "net2", {
    physicalNet: "phynet2",
    plugin: "flannel",
    sub_subnet: "10.244.0.0/24",
  }),
  object("Physicalnetwork", "phynet1", {
    refer_nic: "eth0",
    sharedStatus: {
      dedicatedNet: true,
      plugin: "weave",
      subnet: "10.32.0.0/16",
    },
  }),
  object("Physicalnetwork", "phynet2", {
    refer_nic: "eth1",
    sharedStaus: { dedicatedNet: false },
  }),
];

/** On the same shared physical network, with a plugin whose IPAM takes a subnet. */
const net3 = object("Logicalnetwork", "net3", {
  physicalNet: "phynet2",
  plugin: "canal",
  sub_subnet: "10.245.77.0/24",
});

const weave = {
  cniVersion: "1.0.0",
  name: "weave",
  type: "bridge",
  bridge: "weave0",
  ipam: { type: "host-local", subnet: "10.47.0.0/16" },
};

const refused: readonly [kind: string, spec: object, reason: string][] = [
  ["Logicalnetwork", {}, "must name a plugin or a physical network"],
  [
    "Logicalnetwork",
    { physicalNet: "phynet1", sub_subnet: "10.33.0.0/24" },
    "sub_subnet must be inside of the physical network's subnet",
  ],
  [
    "Logicalnetwork",
    { physicalNet: "phynet2", sub_subnet: "10.33.0.0/24" },
    "a logical network of a shared physical network must name a plugin",
  ],
  [
    "Logicalnetwork",
    { plugin: "weave", sub_subnet: "10.33.0.0" },
    "sub_subnet must be a CIDR",
  ],
  [
    "Physicalnetwork",
    { sharedStatus: { dedicatedNet: true } },
    "a dedicated physical network must name a plugin",
  ],
];

const ownFile = join(confDir, "00-genie.conflist");
const weaveFile = join(confDir, "30-weave.conf");
const automatic = Array.from({ length: 6 }, (_, i) => `automatic${i}`);
const byTraffic = ["quiet0", "quiet1"];

export async function checkBlankChoice(
  cluster: Cluster,
  report: Report,
): Promise<void> {
  const { kubectl, genie, directory } = cluster;
  report.heading("Logical networks and automatic choice");
  // A sample of the traffic takes ten seconds, in which the others go on.
  const agent = loadAgent(cluster);
  await agent.start();
  const noisy = createPods(kubectl, { noisy: { cni: "canal" } });
  const noise = noisy.then(() =>
    kubectl.attempt("exec", "noisy", "--", "sh", "-c", traffic),
  );
  noise.catch(() => {});

  await report.check(
    "`genie manifest --logical-networks` is accepted, and so are CNI-Genie's samples",
    async () => {
      const manifest = await run([genie, "manifest", "--logical-networks"]);
      await kubectl.apply(Bun.YAML.parse(manifest) as object[]);
      // The kinds are there before their paths are.
      return until("the kinds", 30, () => kubectl.apply([...samples, net3]));
    },
  );

  await report.check(
    "the policies refuse what CNI-Genie's webhook meant to",
    () =>
      until("the policies to act", 20, async () => {
        const said = await Promise.all(
          refused.map(async ([kind, spec, reason]) => {
            const ended = await kubectl.attemptCreate(
              object(kind, "wrong", spec),
              "--dry-run=server",
            );
            const seen = ended.stderr.trim();
            if (!seen.includes(reason))
              throw new Error(`${JSON.stringify(spec)}: ${seen || "created"}`);
            return `${kind} ${JSON.stringify(spec)}: ${reason}`;
          }),
        );
        return said.join("\n");
      }),
  );

  const before = readFileSync(ownFile, "utf8");
  await report.check(
    "pods of logical networks, dedicated and shared, and pods that leave the choice to the node",
    async () => {
      await untilRuntimeReads(cluster, () => {
        writeFileSync(weaveFile, JSON.stringify(weave));
        replaceOwn(withAutomatic(before, "attachments"));
      });
      const logical = {
        taken: { cni: "", networks: "net2" },
        dedicated: { cni: "", networks: "net1" },
        shared: { cni: "", networks: "net1@eth0,net3@eth4" },
      };
      await kubectl.apply(
        Object.entries(logical).map(([name, networks]) =>
          podObject(name, networks),
        ),
      );
      await Promise.all([noisy, waitReady(kubectl, "dedicated", "shared")]);
      await createPods(kubectl, undecided(automatic));
      const one = await addresses(kubectl, "dedicated");
      expectAddresses(one, { eth0: "10.32.0." });
      const two = await addresses(kubectl, "shared");
      expectAddresses(two, { eth0: "10.32.0.", eth4: "10.245.77." });
      const chosen = await podIps(kubectl, automatic);
      const ofCanal = chosen.filter((ip) => ip.startsWith(prefixes.canal));
      // Beside the pod that makes the traffic and the shared one.
      expectEqual("pods of canal", ofCanal.length, automatic.length / 2 - 1);
      const fails = await eventOf(
        kubectl,
        "taken",
        /logical network "default\/net2": the IPAM of network "cbr0" takes no subnet/,
      );
      return [one, two, chosen, fails]
        .map((seen) => (typeof seen === "string" ? seen : JSON.stringify(seen)))
        .join("\n");
    },
  );

  await report.check(
    "by traffic: new pods go to the other network",
    async () => {
      const load = await until("a sample of the traffic", 40, () => {
        const text = readFileSync("/var/lib/cni/genie/load.json", "utf8");
        const { bytesPerSecond } = JSON.parse(text) as {
          bytesPerSecond: Record<string, number>;
        };
        const { "k8s-pod-network": canal = 0, cbr0 = 0 } = bytesPerSecond;
        return canal > cbr0 && text;
      });
      await untilRuntimeReads(cluster, () => {
        replaceOwn(withAutomatic(before, "traffic"));
      });
      await createPods(kubectl, undecided(byTraffic));
      const chosen = await podIps(kubectl, byTraffic);
      for (const ip of chosen)
        expectAddresses({ eth0: ip }, { eth0: prefixes.flannel });
      return load;
    },
  );

  await report.check("deleted, they leave nothing", async () => {
    await agent.stop();
    await untilRuntimeReads(cluster, () => {
      rmSync(weaveFile, { force: true });
      replaceOwn(before);
    });
    await deletePods(
      kubectl,
      "noisy",
      "taken",
      "dedicated",
      "shared",
      ...automatic,
      ...byTraffic,
    );
    await noise;
    await expectNothing(directory);
  });
}

/** To the gateway, until the pod is deleted. */
const traffic =
  "while :; do ping -q -c 1 -s 1400 10.245.1.1 >/dev/null; sleep 0.05; done";

function loadAgent({ genie, directory }: Cluster): Daemon {
  return new Daemon(directory, {
    name: "agent-load",
    // The mounted sysfs shows the interfaces of the machine outside.
    cmd: [
      "unshare",
      "--mount",
      "sh",
      "-c",
      `mount -t sysfs sysfs /sys && exec ${genie} agent --load --no-install --no-cache`,
    ],
    ready: () => true,
    seconds: 5,
  });
}

function undecided(names: readonly string[]): Record<string, Annotations> {
  return Object.fromEntries(names.map((name) => [name, { cni: "" }]));
}

async function podIps(
  kubectl: Kubectl,
  names: readonly string[],
): Promise<string[]> {
  const text = await kubectl.run("get", "pods", ...names, "-o", "json");
  const { items } = JSON.parse(text) as { items: Pod[] };
  return items.map(({ status }) => status.podIP ?? "");
}

function withAutomatic(text: string, by: string): string {
  const list = JSON.parse(text) as { plugins: object[] };
  const networks = ["canal", "flannel"];
  const [genie, ...others] = list.plugins;
  const plugins = [{ ...genie, automatic: { networks, by } }, ...others];
  return JSON.stringify({ ...list, plugins });
}

function replaceOwn(text: string): void {
  const scratch = join(confDir, ".00-genie");
  writeFileSync(scratch, text);
  renameSync(scratch, ownFile);
}
