/**
 * The order of the checks. Each group leaves the cluster as it found it, or says
 * in its header what it leaves.
 */
import { copyFileSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { genieBinary } from "../support/build.ts";

import { checkAgent } from "./checks/agent.ts";
import { checkChoice } from "./checks/choice.ts";
import { checkCredentials } from "./checks/credentials.ts";
import { checkCrio } from "./checks/crio.ts";
import { checkDevices } from "./checks/devices.ts";
import { checkDaemonSet } from "./checks/daemonset.ts";
import { checkHotAttach } from "./checks/hot-attach.ts";
import { checkInstall } from "./checks/install.ts";
import { checkBlankChoice } from "./checks/logical-networks.ts";
import { checkLookups } from "./checks/lookups.ts";
import { checkNewerContainerd } from "./checks/newer-containerd.ts";
import { checkObserve } from "./checks/observe.ts";
import { checkOutage } from "./checks/outage.ts";
import { checkPods } from "./checks/pods.ts";
import { checkScale, checkUpgrade } from "./checks/scale.ts";
import { checkStaticPod } from "./checks/static-pod.ts";
import { checkTaint } from "./checks/taint.ts";
import { checkUninstall } from "./checks/uninstall.ts";
import { type Cluster, startCluster } from "./node.ts";
import type { Parts } from "./parts.ts";
import { Report } from "./report.ts";

/** The exit code. */
export async function runSuite(
  parts: Parts,
  directory: string,
): Promise<number> {
  const report = new Report(process.env["GENIE_CLUSTER_REPORT"]);
  let cluster: Cluster | undefined;
  report.heading("The node");
  await report.check(
    "etcd, API server, containerd, kubelet: the node is Ready",
    async () => {
      cluster = await startCluster(parts, directory, genieBinary());
      return cluster.kubectl.run("get", "nodes", "-o", "wide");
    },
  );
  if (cluster) {
    const before = await checkInstall(cluster, report);
    await checkPods(cluster, report);
    await checkLookups(cluster, report);
    await checkChoice(cluster, report);
    // It waits for a minute, during which the others run.
    const endTaint = await checkTaint(cluster, report);
    await checkBlankChoice(cluster, report);
    await checkDevices(cluster, report);
    await checkObserve(cluster, report);
    await checkCredentials(cluster, report);
    await checkStaticPod(cluster, report);
    await endTaint();
    // Its agent keeps definitions, which the checks before read from the API server.
    await checkHotAttach(cluster, report);
    await checkAgent(cluster, report);
    await checkScale(cluster, report);
    await checkUpgrade(cluster, report);
    await checkDaemonSet(cluster, before, report);
    await checkCrio(cluster, report);
    await checkUninstall(cluster, before, report);
    await checkNewerContainerd(cluster, report);
    await checkOutage(cluster, report);
  }
  keepLogs(directory);
  return report.close() ? 0 : 1;
}

/** Keeps the logs of the daemons, if asked: the directory is removed with us. */
function keepLogs(directory: string): void {
  const target = process.env["GENIE_CLUSTER_LOGS"];
  if (target === undefined) return;
  mkdirSync(target, { recursive: true });
  for (const name of readdirSync(directory).filter((file) =>
    file.endsWith(".log"),
  ))
    copyFileSync(join(directory, name), join(target, name));
}
