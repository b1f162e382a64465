/**
 * From the former network to genie. It leaves genie installed.
 */
import { expectEqual } from "../expect.ts";
import {
  applyManifest,
  install,
  installed,
  untilRuntimeReads,
} from "../genie.ts";
import type { Cluster } from "../node.ts";
import { createPods, deletePods, waitForAccount } from "../pod.ts";
import type { Report } from "../report.ts";
import { expectNothing } from "./pods.ts";
import { type Files, nodeFiles } from "./files.ts";

/** The files that the node had before. */
export async function checkInstall(
  cluster: Cluster,
  report: Report,
): Promise<Files> {
  const { kubectl, directory } = cluster;
  report.heading("Install");
  const before = nodeFiles();
  await report.check(
    "without genie a pod gets the node's only network",
    async () => {
      await waitForAccount(kubectl);
      await createPods(kubectl, { before: {} });
      return kubectl.run("get", "pod", "before", "-o", "wide");
    },
  );
  await report.check("`genie manifest` is accepted by the API server", () =>
    applyManifest(cluster),
  );
  await report.check("`genie install` makes containerd use genie", async () => {
    let said = "";
    await untilRuntimeReads(cluster, async () => {
      said = await install(cluster);
    });
    return said;
  });
  await report.check("`genie install` again changes nothing", async () => {
    const files = nodeFiles();
    const said = await install(cluster);
    expectEqual("files", nodeFiles(), files);
    return said;
  });
  await report.check("`genie doctor` finds nothing wrong", () =>
    installed("doctor"),
  );
  await report.check(
    "a pod from before genie is deleted completely",
    async () => {
      await deletePods(kubectl, "before");
      await expectNothing(directory);
    },
  );
  return before;
}
