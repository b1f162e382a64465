/**
 * A static pod: the kubelet reads it from a file, the API server has a mirror of
 * it whose uid is another.
 */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expectAddresses } from "../expect.ts";
import { account } from "../genie.ts";
import { nodeName, staticPods } from "../kubelet.ts";
import { prefixes } from "../networks.ts";
import { type Cluster, expectRequests } from "../node.ts";
import { type Pod, addresses, multiIp, podObject, waitReady } from "../pod.ts";
import type { Report } from "../report.ts";
import { until } from "../until.ts";
import { expectNothing } from "./pods.ts";

export async function checkStaticPod(
  { kubectl, auditLog, directory }: Cluster,
  report: Report,
): Promise<void> {
  report.heading("A static pod");
  const name = `static-${nodeName}`;
  const file = join(staticPods, "static.json");
  await report.check(
    'a static pod with `cni: "flannel,canal"` gets both',
    async () => {
      const pod = podObject("static", { cni: "flannel,canal" });
      writeFileSync(file, JSON.stringify(pod));
      await until("the mirror pod", 30, async () => {
        const { exitCode } = await kubectl.attempt("get", "pod", name);
        return exitCode === 0;
      });
      await waitReady(kubectl, name);
      const seen = await addresses(kubectl, name);
      expectAddresses(seen, { eth0: prefixes.flannel, eth1: prefixes.canal });
      return kubectl.run("get", "pod", name, "-o", "wide");
    },
  );
  await report.check("its mirror pod is told what it got", async () => {
    await expectRequests(
      [`get pods ${account} 200`, `patch pods/status ${account} 200`],
      auditLog,
      name,
    );
    const { metadata } = await kubectl.get<Pod>("pod", name);
    const told = metadata.annotations?.[multiIp];
    if (told === undefined) throw new Error(`no annotation ${multiIp}`);
    return told;
  });
  await report.check(
    "without its file it goes, and leaves nothing",
    async () => {
      rmSync(file);
      await until("the mirror pod to go", 60, async () => {
        const { exitCode } = await kubectl.attempt("get", "pod", name);
        return exitCode !== 0;
      });
      await expectNothing(directory);
    },
  );
}
