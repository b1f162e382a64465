/**
 * What operators see: the audit with its evictions, events and metrics of the agent, the
 * commands. All pods are gone afterwards.
 */
import { renameSync } from "node:fs";
import { join } from "node:path";
import { attempt } from "../../../scripts/run.ts";
import { Daemon } from "../daemon.ts";
import { checkCommands } from "./commands.ts";
import { expectAddresses, expectEqual, expectMatch } from "../expect.ts";
import { untilRuntimeReads } from "../genie.ts";
import { kubeletConf } from "../kubelet.ts";
import { binDir, confDir, prefixes } from "../networks.ts";
import type { Cluster } from "../node.ts";
import { nodeName } from "../place.ts";
import {
  addresses,
  deletePods,
  podObject,
  podSpec,
  networks,
  waitReady,
} from "../pod.ts";
import type { Report } from "../report.ts";
import { installTraced, removeTraced, traced } from "../traced-network.ts";
import { until } from "../until.ts";

const both = { cni: "flannel,canal" };
const config = join(confDir, "00-genie.conflist");

export async function checkObserve(
  cluster: Cluster,
  report: Report,
): Promise<void> {
  report.heading("What operators see");
  await checkAudit(cluster, report);
}

/** A workload of one pod; `budget` forbids to evict it. */
function workload(name: string, budget: boolean): object[] {
  const labels = { workload: name };
  const selector = { matchLabels: labels };
  const template = { metadata: { labels, annotations: both }, spec: podSpec };
  return [
    {
      apiVersion: "apps/v1",
      kind: "ReplicaSet",
      metadata: { name, namespace: "default" },
      spec: { replicas: 1, selector, template },
    },
    ...(budget
      ? [
          {
            apiVersion: "policy/v1",
            kind: "PodDisruptionBudget",
            metadata: { name, namespace: "default" },
            spec: { minAvailable: 1, selector },
          },
        ]
      : []),
  ];
}

async function checkAudit(cluster: Cluster, report: Report): Promise<void> {
  const { kubectl, genie, directory } = cluster;
  const audit = (...words: string[]) =>
    attempt([
      join(binDir, "genie"),
      "audit",
      `--kubeconfig=${kubeletConf}`,
      `--node=${nodeName}`,
      ...words,
    ]);
  const podOf = async (name: string): Promise<string> =>
    (await kubectl.run("get", "pods", "-l", `workload=${name}`, "-o", "name"))
      .trim()
      .replaceAll("pod/", "");
  await installTraced(genie);
  // As after a restart: the runtime does not know genie yet.
  await untilRuntimeReads(cluster, () => renameSync(config, `${config}.away`));
  await kubectl.apply([
    ...workload("free", false),
    ...workload("budgeted", true),
    podObject("alone", both),
    {
      ...podObject("host", both),
      spec: { ...podSpec, hostNetwork: true },
    },
  ]);
  await kubectl.run(
    ..."wait --for=jsonpath={.status.readyReplicas}=1 replicaset/free replicaset/budgeted --timeout=60s".split(
      " ",
    ),
  );
  await waitReady(kubectl, "alone", "host");
  await untilRuntimeReads(cluster, () => renameSync(`${config}.away`, config));
  const agent = new Daemon(directory, {
    name: "agent-events",
    cmd: [
      genie,
      "agent",
      "--no-install",
      "--no-cache",
      "--events",
      "--metrics=9464",
      `--kubeconfig=${kubeletConf}`,
      `--node=${nodeName}`,
    ],
    ready: async () => (await fetch("http://127.0.0.1:9464/readyz")).ok,
    seconds: 20,
  });
  await agent.start();
  const watching = new Daemon(directory, {
    name: "list-watch",
    cmd: [genie, "list", "--watch", "--namespace=default"],
    ready: () => true,
    seconds: 5,
  });
  await watching.start();
  await kubectl.apply([
    traced,
    podObject("order", { ...both, [networks]: "traced" }),
    podObject("lacking", { cni: "flannel" }),
    podObject("broken", { cni: "flannel,nowhere" }),
  ]);
  await waitReady(kubectl, "order", "lacking");
  await kubectl.run(
    "annotate",
    "--overwrite",
    "pod",
    "lacking",
    "cni=flannel,canal",
  );
  const free = await podOf("free");
  const budgeted = await podOf("budgeted");
  const past = "past-genie";
  const expected = [
    ["alone", past],
    [budgeted, past],
    [free, past],
    ["lacking", "network-missing"],
  ].toSorted(([a = ""], [b = ""]) => (a < b ? -1 : 1));
  const eventsOf = (pod: string) =>
    kubectl.run(
      ..."get events --field-selector".split(" "),
      `involvedObject.name=${pod},reportingComponent=genie`,
      ..."-o custom-columns=TYPE:.type,REASON:.reason,MESSAGE:.message --no-headers".split(
        " ",
      ),
    );
  // It audits when it starts, and then each minute.
  await until("events of order", 30, async () =>
    /eth1/.test(await eventsOf("order")),
  );
  await agent.stop("SIGKILL");
  await agent.start();

  await report.check(
    "genie audit: pods attached past genie and one with a network missing; not one in order, one on the host's network",
    async () => {
      const { stdout, exitCode } = await audit("-o=json");
      const rows = JSON.parse(stdout) as { name: string; finding: string }[];
      expectEqual(
        "findings",
        rows.map(({ name, finding }) => [name, finding]),
        expected,
      );
      expectEqual("exit code", exitCode, 1);
      return (await audit()).stdout;
    },
  );
  await report.check(
    "the agent: events of the pods, the findings as events too",
    async () => {
      const has = (pod: string, pattern: RegExp) =>
        until(`events of ${pod}`, 30, async () =>
          pattern.test(await eventsOf(pod)),
        );
      await Promise.all([
        has(
          "order",
          /AddedInterface +Add eth0 \[10\.244\.1\.\d+\/24\] from flannel/,
        ),
        has(
          "order",
          /AddedInterface +Add eth1 \[10\.245\.1\.\d+\/\d+\] from canal/,
        ),
        has("broken", /Warning +FailedAddingInterface +.*no network "nowhere"/),
        has("alone", /Warning +AttachedPastGenie/),
        has("lacking", /Warning +NetworkMissing +.*canal/),
      ]);
      expectEqual(
        "events of a pod on the host's network",
        await eventsOf("host"),
        "",
      );
      return (
        await Promise.all(["order", "broken", "alone", "lacking"].map(eventsOf))
      ).join("");
    },
  );
  await report.check(
    "the agent: metrics, and the same by genie metrics",
    async () => {
      const text = await (await fetch("http://127.0.0.1:9464/metrics")).text();
      for (const sample of [
        /^genie_calls_total\{verb="ADD",code="0"\} [2-9]/m,
        /^genie_calls_total\{verb="ADD",code="7"\} \d/m,
        /^genie_delegate_seconds_count\{plugin="flannel",verb="ADD"\} [2-9]/m,
        /^genie_attachments\{network="canal"\} 1$/m,
        /^genie_attachments\{network="flannel"\} 2$/m,
        /^genie_hostlocal_free\{network="canal"\} 25\d$/m,
        /^genie_audit_findings\{finding="past-genie"\} 3$/m,
        /^genie_audit_findings\{finding="network-missing"\} 1$/m,
      ])
        expectMatch("metrics", text, sample);
      const printed = (await attempt([genie, "metrics"])).stdout;
      expectMatch(
        "genie metrics",
        printed,
        /^genie_attachments\{network="canal"\} 1$/m,
      );
      return text
        .split("\n")
        .filter((line) => !/_bucket|^#/.test(line))
        .join("\n");
    },
  );
  await report.check(
    "genie audit --evict --yes: a pod with a controller goes and comes back with both networks; not one that a budget protects, one without controller",
    async () => {
      const { stdout } = await audit("--evict", "--yes");
      expectMatch("free", stdout, new RegExp(`${free} .* yes$`, "m"));
      expectMatch(
        "budgeted",
        stdout,
        new RegExp(`${budgeted} .* no: a disruption budget`, "m"),
      );
      expectMatch("alone", stdout, /alone .* no: it has no controller$/m);
      const again = await until("its successor", 20, async () => {
        const names = (await podOf("free")).split("\n");
        return names.find((name) => name !== free && name !== "");
      });
      await waitReady(kubectl, again);
      expectAddresses(await addresses(kubectl, again), {
        eth0: prefixes.flannel,
        eth1: prefixes.canal,
      });
      return stdout;
    },
  );
  await agent.stop();
  await checkCommands(cluster, report, "order");
  await kubectl.run(
    "delete",
    "replicaset",
    "free",
    "budgeted",
    "--wait",
    "--cascade=foreground",
  );
  await kubectl.run("delete", "pdb", "budgeted");
  await deletePods(kubectl, "alone", "host", "order", "lacking", "broken");
  await removeTraced(genie);
  await kubectl.run("delete", "net-attach-def", "traced");
  await report.check(
    "genie list --watch: the rows that come and go, until SIGTERM",
    async () => {
      const seen = await until("the rows", 5, () => {
        const text = watching.log();
        return /order .* net1 .* deleted +\d+s$/m.test(text) && text;
      });
      expectMatch("head", seen, /^NAMESPACE +POD .* AGE$/m);
      expectMatch("row", seen, /order .* net1 .* live +\d+s$/m);
      expectEqual("exit code", await watching.stop(), 0);
      return seen;
    },
  );
}
