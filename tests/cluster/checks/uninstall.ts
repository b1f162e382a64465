/**
 * Back to the former network. It leaves the node without genie.
 */
import { expectAddresses, expectEqual, expectMatch } from "../expect.ts";
import { untilRuntimeReads } from "../genie.ts";
import { prefixes } from "../networks.ts";
import type { Cluster } from "../node.ts";
import { addresses, createPods, deletePods, ping } from "../pod.ts";
import type { Report } from "../report.ts";
import { attempt, run } from "../../../scripts/run.ts";
import { type Files, nodeFiles } from "./files.ts";
import { expectNothing } from "./pods.ts";

/** `before`: the node's files without genie. */
export async function checkUninstall(
  cluster: Cluster,
  before: Files,
  report: Report,
): Promise<void> {
  const { kubectl, genie, directory } = cluster;
  report.heading("Uninstall");
  await report.check(
    "`genie uninstall` refuses while a pod has more than its default network",
    async () => {
      await createPods(kubectl, {
        plain: {},
        double: { cni: "flannel,canal" },
      });
      const { exitCode, stdout, stderr } = await attempt([genie, "uninstall"]);
      const said = stdout + stderr;
      expectEqual("exit code", exitCode === 0, false);
      expectMatch("pods", said, /default\/double/);
      expectEqual("names the other", said.includes("default/plain"), false);
      return said;
    },
  );
  await report.check(
    "`genie uninstall` leaves the node's files as they were",
    async () => {
      await deletePods(kubectl, "double");
      let said = "";
      await untilRuntimeReads(cluster, async () => {
        said = await run([genie, "uninstall"]);
      });
      expectEqual("files", nodeFiles(), before);
      return said;
    },
  );
  await report.check(
    "the former network works, also for a pod that genie attached",
    async () => {
      await createPods(kubectl, { after: {} });
      const seen = await addresses(kubectl, "after");
      expectAddresses(seen, { eth0: prefixes.flannel });
      const plain = await addresses(kubectl, "plain");
      const said = await ping(kubectl, "after", plain["eth0"] ?? "");
      await deletePods(kubectl, "after", "plain");
      await expectNothing(directory);
      return said;
    },
  );
}
