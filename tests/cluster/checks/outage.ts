/**
 * The API server is away while networks of running pods are still to come: pods and
 * kubelet go on, and afterwards the same agent has attached each of them once.
 */
import { readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import type { Daemon } from "../daemon.ts";
import { expectAddresses, expectEqual } from "../expect.ts";
import { agentOf, applyManifest, installed } from "../genie.ts";
import { binDir, extra, prefixes } from "../networks.ts";
import type { Cluster } from "../node.ts";
import {
  addresses,
  createPods,
  deletePods,
  networks,
  untilTold,
} from "../pod.ts";
import type { Report } from "../report.ts";
import { until } from "../until.ts";

/**
 * Seconds without the server. A watch pauses 1, 2, 4 and 8 s at most after its failures,
 * and then 10 s each time: after 16 s the longest pause has begun. `make cluster LONG=1`
 * takes a minute.
 */
const seconds = process.env["GENIE_CLUSTER_LONG"] ? 60 : 16;

/** A definition that nobody has made yet. */
const late = {
  ...extra,
  metadata: { ...extra.metadata, name: "late" },
  spec: {
    config: JSON.stringify({
      cniVersion: "1.1.0",
      type: "bridge",
      bridge: "late0",
      ipam: { type: "host-local", subnet: "10.247.1.0/24" },
    }),
  },
};

/** The last of the checks: afterwards the watches of scheduler and controllers pause for up to a minute. */
export async function checkOutage(
  cluster: Cluster,
  report: Report,
): Promise<void> {
  const { kubectl, api, runtime } = cluster;
  report.heading("An outage of the API server");
  await applyManifest(cluster, ["--attach"]);
  const agent = agentOf(cluster, ["--attach"]);
  await agent.start();
  const plugin = join(binDir, "ptp");
  await report.check(
    `the API server is away for ${seconds} s while networks are to come: kubelet and pods go on, and each comes once`,
    async () => {
      await createPods(kubectl, { waiting: {}, failing: {} });
      renameSync(plugin, `${plugin}.aside`);
      await kubectl.run("annotate", "pod", "waiting", `${networks}=late`);
      await kubectl.run("annotate", "pod", "failing", "cni=flannel,canal");
      for (const pod of ["waiting", "failing"])
        await until(`the failure of ${pod}`, 20, () =>
          linesOf(agent, pod, "failed to attach a network").at(0),
        );
      // An orderly end would take a minute: it waits for watches.
      await api.stop("SIGKILL");
      const began = performance.now();
      const before = await containerOf("waiting");
      await runtime.ctr("task", "kill", "-s", "SIGKILL", before);
      renameSync(`${plugin}.aside`, plugin);
      const shown = await until("canal of failing", 30, async () => {
        const text = await installed("list");
        return /failing.*canal|canal.*failing/.test(text) && text;
      });
      await until("the kubelet to start the container again", 30, async () => {
        const now = await containerOf("waiting");
        return now !== "" && now !== before;
      });
      await Bun.sleep(seconds * 1000 - (performance.now() - began));
      await api.start();
      // The server may be ready before the paths of its kinds are.
      await until("the definition", 20, () => kubectl.apply([late]));
      const back = performance.now();
      await untilTold(kubectl, "failing", "eth0", "eth1");
      await untilTold(kubectl, "waiting", "eth0", "net1");
      const ms = Math.round(performance.now() - back);
      expectAddresses(await addresses(kubectl, "failing"), {
        eth0: prefixes.flannel,
        eth1: prefixes.canal,
      });
      expectAddresses(await addresses(kubectl, "waiting"), {
        eth0: prefixes.flannel,
        net1: "10.247.1.",
      });
      for (const pod of ["waiting", "failing"])
        expectEqual("attached", linesOf(agent, pod, "attached").length, 1);
      expectEqual("leases", leases("late"), 1);
      expectEqual("leases", leases("k8s-pod-network"), 1);
      // The same agent. Each of its watches ends its own pause.
      await until("the watch of pods", 30, () =>
        agent.log().includes('"watching pods again"'),
      );
      return `${shown}${agent.tail(8)}\n${ms} ms after the server`;
    },
  );
  await report.check("its pods go", async () => {
    // Started again, the kubelet does not pause its watches any more: they would take 45 s.
    await cluster.kubelet.stop();
    await cluster.kubelet.start();
    await deletePods(kubectl, "waiting", "failing");
  });
  await kubectl.run("delete", "network-attachment-definition", "late");
  await agent.stop();
  await applyManifest(cluster);

  /** The ID of the pod's running container; "" for none. */
  async function containerOf(pod: string): Promise<string> {
    const ids = await runtime.ctr(
      "containers",
      "list",
      "--quiet",
      `labels."io.kubernetes.pod.name"==${pod},labels."io.cri-containerd.kind"==container`,
    );
    const tasks = await runtime.ctr("tasks", "list");
    const isRunning = (id: string) =>
      new RegExp(`^${id}\\s+\\d+\\s+RUNNING`, "m").test(tasks);
    return ids.split("\n").find((id) => id !== "" && isRunning(id)) ?? "";
  }
}

function linesOf(agent: Daemon, pod: string, message: string): string[] {
  return agent
    .log()
    .split("\n")
    .filter(
      (line) =>
        line.includes(`"msg":"${message}"`) &&
        line.includes(`"pod":"default/${pod}"`),
    );
}

function leases(network: string): number {
  const names = readdirSync(join("/var/lib/cni/networks", network));
  return names.filter((name) => /^\d/.test(name)).length;
}
