/**
 * `genie agent` on the node: definitions and statuses without a request of ADD, also while
 * the API server is stopped, and after the agent was killed. It ends its agents.
 */
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expectAddresses, expectEqual, expectMatch } from "../expect.ts";
import { account, agentOf, installed } from "../genie.ts";
import { nodeName, staticPods } from "../kubelet.ts";
import { prefixes } from "../networks.ts";
import { type Cluster, requestsOf } from "../node.ts";
import {
  type Pod,
  addresses,
  createPods,
  deletePods,
  networkStatus,
  networks,
  podObject,
  statusOf,
} from "../pod.ts";
import type { Report } from "../report.ts";
import { until } from "../until.ts";

const dataDir = "/var/lib/cni/genie";
const synced = ["definitions/.synced", "status.synced"];

export async function checkAgent(
  cluster: Cluster,
  report: Report,
): Promise<void> {
  const { kubectl, auditLog, directory, api } = cluster;
  report.heading("The agent");
  const user = "agent-test";
  const kubeconfig = cluster.kubeconfig(
    join(directory, `${user}.conf`),
    cluster.pki.client(user, ["system:masters"]),
  );
  /** `ready` by the files by which ADD relies on it. */
  const agent = (...parts: string[]) =>
    agentOf(cluster, [...parts, `--kubeconfig=${kubeconfig}`], {
      ready: () => synced.every((name) => existsSync(join(dataDir, name))),
    });
  const requested = { [networks]: "extra" };
  /** The plugin's requests for a pod, and for the definition. */
  const asked = (pod: string, since: Date) =>
    [
      ...requestsOf(auditLog, pod, since),
      ...requestsOf(auditLog, "extra", since),
    ]
      .filter((request) => request.user === account)
      .map(({ verb, resource }) => `${verb} ${resource}`);

  const first = agent("--status");
  await report.check(
    "with `--cache --status` a pod with a definition costs no API request, and gets its status",
    async () => {
      await first.start();
      const since = new Date();
      await createPods(kubectl, { quiet: requested });
      const seen = await addresses(kubectl, "quiet");
      expectAddresses(seen, { eth0: prefixes.flannel, net1: prefixes.extra });
      expectMatch(networkStatus, await statusOf(kubectl, "quiet"), /"net1"/);
      expectEqual("requests", asked("quiet", since), []);
      return first.tail(5);
    },
  );

  const file = join(staticPods, "offline.json");
  const offline = `offline-${nodeName}`;
  await report.check(
    "a pod with a definition starts while the API server is stopped; its status comes with the server",
    async () => {
      // An orderly end would take a minute: it waits for watches.
      await api.stop("SIGKILL");
      try {
        writeFileSync(file, JSON.stringify(podObject("offline", requested)));
        const shown = await until("its attachments", 40, async () => {
          const text = await installed("list");
          return text.includes(offline) && text.includes("net1") && text;
        });
        await api.start();
        expectMatch(networkStatus, await statusOf(kubectl, offline), /"net1"/);
        return `${shown}${first.tail(5)}`;
      } finally {
        rmSync(file);
      }
    },
  );

  const second = agent("--cache");
  await report.check(
    "killed, what it owes is written by the next one, without `--status`",
    async () => {
      await first.stop("SIGKILL");
      await createPods(kubectl, { owed: requested });
      const { metadata } = await kubectl.get<Pod>("pod", "owed");
      expectEqual("before", metadata.annotations?.[networkStatus], undefined);
      rmSync(join(dataDir, "definitions/.synced"));
      await second.start();
      expectMatch(networkStatus, await statusOf(kubectl, "owed"), /"net1"/);
      return second.tail(5);
    },
  );
  await deletePods(kubectl, "quiet", "owed");
  await second.stop();
  await until("the static pod to go", 60, async () => {
    const { exitCode } = await kubectl.attempt("get", "pod", offline);
    return exitCode !== 0;
  });
}
