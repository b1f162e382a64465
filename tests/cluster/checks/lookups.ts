/**
 * What genie asks when the runtime hands over no annotations, and what the pod's
 * owner reads when a network does not exist.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { account, install, untilRuntimeReads } from "../genie.ts";
import { confDir } from "../networks.ts";
import { type Cluster, expectRequests } from "../node.ts";
import { createPods, deletePods, eventOf, podObject } from "../pod.ts";
import type { Report } from "../report.ts";

const ownFile = join(confDir, "00-genie.conflist");
const capability = "io.kubernetes.cri.pod-annotations";

export async function checkLookups(
  cluster: Cluster,
  report: Report,
): Promise<void> {
  const { kubectl, auditLog } = cluster;
  report.heading("Lookups");

  await report.check(
    "an older configuration, without the capability: one GET for a pod",
    async () => {
      await untilRuntimeReads(cluster, withoutCapability);
      try {
        await createPods(kubectl, { older: { cni: "canal" } });
        await expectRequests([`get pods ${account} 200`], auditLog, "older");
        return await kubectl.run("get", "pod", "older", "-o", "wide");
      } finally {
        await kubectl.run("delete", "pod", "older");
        await untilRuntimeReads(cluster, async () => {
          await install(cluster);
        });
      }
    },
  );

  await report.check(
    "an unknown network: the pod's event says so, and what there is",
    async () => {
      await kubectl.apply([podObject("unknown", { cni: "nonesuch" })]);
      try {
        return await eventOf(
          kubectl,
          "unknown",
          /no network "nonesuch" in \/etc\/cni\/net\.d: have flannel, canal/,
        );
      } finally {
        await deletePods(kubectl, "unknown");
      }
    },
  );
}

/** As an operator's older file: all as it is but for that key. */
function withoutCapability(): void {
  const list = JSON.parse(readFileSync(ownFile, "utf8")) as {
    plugins: { capabilities: Record<string, boolean> }[];
  };
  for (const { capabilities } of list.plugins) delete capabilities[capability];
  const scratch = join(confDir, ".00-genie");
  writeFileSync(scratch, JSON.stringify(list));
  renameSync(scratch, ownFile);
}
