/**
 * The same with a newer containerd, which takes over the node from Debian's:
 * pods, and STATUS, which containerd calls since 2.0. It leaves the newer
 * containerd and genie on the node.
 */
import { renameSync } from "node:fs";
import { join } from "node:path";
import { containerd } from "../containerd.ts";
import { expectMatch } from "../expect.ts";
import { install, untilRuntimeReads } from "../genie.ts";
import type { Kubectl } from "../kubectl.ts";
import { nodeName } from "../kubelet.ts";
import { versionOf } from "../module.ts";
import { confDir } from "../networks.ts";
import type { Cluster } from "../node.ts";
import type { Report } from "../report.ts";
import { until } from "../until.ts";
import { checkPods } from "./pods.ts";

export async function checkNewerContainerd(
  before: Cluster,
  report: Report,
): Promise<void> {
  const { kubectl, parts, directory } = before;
  const version = versionOf("containerd");
  report.heading(`containerd ${version}`);
  const runtime = containerd(parts, directory, "newer");
  const cluster = { ...before, runtime };
  const started = await report.check("it takes over the node", async () => {
    await before.kubelet.stop();
    await before.runtime.daemon.stop();
    await runtime.daemon.start();
    await cluster.kubelet.start();
    await until("the node to tell of it", 60, async () =>
      (await kubectl.run("get", "nodes", "-o", "wide")).includes(
        `containerd://${version}`,
      ),
    );
    await untilRuntimeReads(cluster, async () => {
      await install(cluster);
    });
    await ready(kubectl, "True");
    return kubectl.run("get", "nodes", "-o", "wide");
  });
  if (!started) return;
  await checkPods(cluster, report);

  if (version.startsWith("1.")) return;
  report.heading("STATUS");
  const file = join(confDir, "10-flannel.conflist");
  const aside = `${file}.aside`;
  await report.check(
    "without its default network the node is NotReady, and says why",
    async () => {
      renameSync(file, aside);
      return ready(
        kubectl,
        "False",
        /NetworkPluginNotReady.*no network "flannel"/s,
      );
    },
  );
  await report.check("with it the node is Ready again", async () => {
    renameSync(aside, file);
    return ready(kubectl, "True");
  });
}

/** Waits for the node's condition; its message. */
function ready(
  kubectl: Kubectl,
  status: "True" | "False",
  message = /^/,
): Promise<string> {
  return until(`Ready to be ${status}`, 60, async () => {
    const { status: node } = await kubectl.get<Node>("node", nodeName);
    const condition = node.conditions.find(({ type }) => type === "Ready");
    expectMatch("condition", condition?.message ?? "", message);
    return condition?.status === status && condition.message;
  });
}

interface Node {
  status: { conditions: { type: string; status: string; message: string }[] };
}
