/**
 * The other way to install: the manifest's DaemonSet, from an image.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { expectAddresses, expectEqual } from "../expect.ts";
import { account, applyManifest, install, installed } from "../genie.ts";
import { withLibraries } from "../image.ts";
import { binDir, confDir, prefixes } from "../networks.ts";
import { type Cluster, requestsOf } from "../node.ts";
import { addresses, createPods, deletePods, networks } from "../pod.ts";
import type { Report } from "../report.ts";
import { until } from "../until.ts";

export async function checkDaemonSet(
  cluster: Cluster,
  report: Report,
): Promise<void> {
  const { kubectl, runtime, genie, auditLog } = cluster;
  report.heading("DaemonSet");
  await report.check(
    "`genie manifest | kubectl apply` installs onto the node",
    async () => {
      rmSync(join(confDir, "00-genie.conflist"));
      rmSync(join(confDir, "genie.d"), { recursive: true });
      rmSync(join(binDir, "genie"));
      const image = await withLibraries("genie:1", genie);
      await runtime.load(image);
      await applyManifest(
        cluster,
        [`--image=${image.name}`, "--service-account"],
        [],
      );
      const set = ["daemonset/genie", "-n", "kube-system"] as const;
      await kubectl.run("rollout", "status", ...set, "--timeout=60s");
      return `${await kubectl.run("get", ...set, "-o", "wide")}${await kubectl.run("logs", ...set, "-c", "install")}`;
    },
  );
  await report.check("its token serves pods", async () => {
    await createPods(kubectl, { served: { [networks]: "extra" } });
    const seen = await addresses(kubectl, "served");
    expectAddresses(seen, { eth0: prefixes.flannel, net1: prefixes.extra });
    const users = requestsOf(auditLog, "served").map(({ user }) => user);
    expectEqual("users", users, [account]);
    await deletePods(kubectl, "served");
    return installed("doctor");
  });
  await report.check(
    "`--watch` puts back a configuration that went",
    async () => {
      const file = join(confDir, "00-genie.conflist");
      rmSync(file);
      await until("the file", 30, () => Bun.file(file).exists());
    },
  );
  await kubectl.run("delete", "daemonset", "genie", "-n", "kube-system");
  await until("its pod to go", 60, async () => {
    const pods = await kubectl.run(
      "get",
      "pods",
      "-n",
      "kube-system",
      "-o",
      "name",
    );
    return pods === "";
  });
  await install(cluster);
}
