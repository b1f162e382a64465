/**
 * Networks of running pods come and go as their annotations change: `genie agent
 * --attach`, with the rights of its manifest. All pods are gone afterwards.
 */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { run } from "../../../scripts/run.ts";
import type { Daemon } from "../daemon.ts";
import { expectAddresses, expectEqual } from "../expect.ts";
import { agentOf, applyManifest, installed } from "../genie.ts";
import type { Kubectl } from "../kubectl.ts";
import { binDir, confDir, extra, prefixes } from "../networks.ts";
import type { Cluster } from "../node.ts";
import {
  addresses,
  createPods,
  deletePods,
  networks,
  ping,
  untilTold,
} from "../pod.ts";
import type { Report } from "../report.ts";
import { until } from "../until.ts";
import { expectNothing } from "./pods.ts";

/** An element as KubeVirt writes it. */
const hotplugged = {
  name: "extra",
  namespace: "default",
  interface: "pod16477688c0e",
};

export async function checkHotAttach(
  cluster: Cluster,
  report: Report,
): Promise<void> {
  const { kubectl } = cluster;
  report.heading("Networks of running pods");
  await applyManifest(cluster, ["--attach"]);
  const agent = agentOf(cluster, ["--attach"]);
  await agent.start();
  try {
    await createPods(kubectl, {
      "virt-launcher": {},
      peer: { [networks]: "extra" },
      second: {},
    });
    await report.check(
      "as KubeVirt does it: an element is added, the interface appears in network-status, answers, and passes CHECK",
      () => expectAdded(kubectl),
    );
    await report.check(
      "the agent is killed, and starts again; a network of the node by annotation, one by hand",
      () => expectAfterKill(kubectl, agent),
    );
    await report.check(
      "the definition is deleted, the element removed: the interface goes, its address is free",
      () => expectRemoved(kubectl),
    );
    await report.check(
      "pods are deleted while they are attached: nothing is left",
      async () => {
        const other = { ...hotplugged, interface: "pod2" };
        await annotate(kubectl, hotplugged, other);
        await deletePods(kubectl, "virt-launcher", "peer", "second");
        await expectNothing(cluster.directory);
      },
    );
  } finally {
    await agent.stop();
    await applyManifest(cluster);
  }
}

async function expectAdded(kubectl: Kubectl): Promise<string> {
  const began = performance.now();
  await annotate(kubectl, hotplugged);
  await untilTold(kubectl, "virt-launcher", "eth0", hotplugged.interface);
  const ms = Math.round(performance.now() - began);
  expectAddresses(await addresses(kubectl, "virt-launcher"), {
    eth0: prefixes.flannel,
    [hotplugged.interface]: prefixes.extra,
  });
  const { net1 = "" } = await addresses(kubectl, "peer");
  const answer = await ping(kubectl, "virt-launcher", net1);
  await checkAsCrio("virt-launcher");
  return `${answer}\n${ms} ms from the edit to kubectl's answer`;
}

async function expectAfterKill(
  kubectl: Kubectl,
  agent: Daemon,
): Promise<string> {
  await agent.stop("SIGKILL");
  await kubectl.run("annotate", "pod", "second", "cni=flannel,canal");
  await agent.start();
  const said = await installed("attach", "second", "default/extra@byhand");
  await until("the interfaces of second", 20, async () => {
    const seen = Object.keys(await addresses(kubectl, "second")).toSorted();
    expectEqual("interfaces", seen, ["byhand", "eth0", "eth1"]);
    return true;
  });
  return said;
}

async function expectRemoved(kubectl: Kubectl): Promise<string> {
  await kubectl.run("delete", "net-attach-def", "extra", "--wait=true");
  const before = await addresses(kubectl, "virt-launcher");
  await annotate(kubectl);
  await untilTold(kubectl, "virt-launcher", "eth0");
  const address = before[hotplugged.interface] ?? "";
  await until("its address to be free", 10, () => {
    const leases = readdirSync("/var/lib/cni/networks/extra");
    return !leases.includes(address);
  });
  await kubectl.apply([extra]);
  return address;
}

/** Replaces the elements of the pod `virt-launcher`. */
function annotate(kubectl: Kubectl, ...elements: object[]): Promise<string> {
  return kubectl.run(
    "annotate",
    "--overwrite",
    "pod",
    "virt-launcher",
    `${networks}=${JSON.stringify(elements)}`,
  );
}

/** CHECK of the whole pod, as CRI-O sends it. */
async function checkAsCrio(pod: string): Promise<void> {
  const records = "/var/lib/cni/genie/attachments";
  const record = readdirSync(records)
    .filter((file) => file.endsWith(":eth0.json"))
    .map(
      (file) =>
        JSON.parse(readFileSync(join(records, file), "utf8")) as Recorded,
    )
    .find((one) => one.pod.name === pod);
  if (!record) throw new Error(`no record of ${pod}`);
  const own = JSON.parse(
    readFileSync(join(confDir, "00-genie.conflist"), "utf8"),
  ) as { name: string; cniVersion: string; plugins: object[] };
  await run([join(binDir, "genie")], {
    env: {
      CNI_COMMAND: "CHECK",
      CNI_CONTAINERID: record.containerId,
      CNI_NETNS: record.netns,
      CNI_IFNAME: "eth0",
      CNI_PATH: binDir,
      CNI_ARGS: record.attachments[0]?.args ?? "",
    },
    stdin: JSON.stringify({
      ...own.plugins[0],
      name: own.name,
      cniVersion: own.cniVersion,
      prevResult: { cniVersion: own.cniVersion },
    }),
  });
}

interface Recorded {
  containerId: string;
  netns: string;
  pod: { name: string };
  attachments: { args: string }[];
}
