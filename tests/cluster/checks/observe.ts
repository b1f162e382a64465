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
import { agentOf, untilRuntimeReads } from "../genie.ts";
import type { Kubectl } from "../kubectl.ts";
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
const endpoint = "http://127.0.0.1:9464";

export async function checkObserve(
  cluster: Cluster,
  report: Report,
): Promise<void> {
  const { kubectl, genie, directory } = cluster;
  report.heading("What operators see");
  await installTraced(genie);
  await createPastGenie(cluster);
  const agent = agentOf(
    cluster,
    ["--events", "--no-cache", "--metrics=9464", `--kubeconfig=${kubeletConf}`],
    { ready: async () => (await fetch(`${endpoint}/readyz`)).ok },
  );
  await agent.start();
  const watching = new Daemon(directory, {
    name: "list-watch",
    cmd: [genie, "list", "--watch", "--namespace=default"],
    ready: () => true,
    seconds: 5,
  });
  await watching.start();
  await createByGenie(kubectl);
  // It audits when it starts, and then each minute.
  await until("events of order", 30, async () =>
    /eth1/.test(await eventsOf(kubectl, "order")),
  );
  await agent.stop("SIGKILL");
  await agent.start();

  await report.check(
    "genie audit: pods attached past genie and one with a network missing; not one in order, one on the host's network",
    () => expectFindings(kubectl),
  );
  await report.check(
    "the agent: events of the pods, the findings as events too",
    () => expectEvents(kubectl),
  );
  await report.check("the agent: metrics, and the same by genie metrics", () =>
    expectMetrics(genie),
  );
  await report.check(
    "genie audit --evict --yes: a pod with a controller goes and comes back with both networks; not one that a budget protects, one without controller",
    () => expectEvicted(kubectl),
  );
  await agent.stop();
  await checkCommands(cluster, report, "order");
  await removeAll(cluster);
  await report.check(
    "genie list --watch: the rows that come and go, until SIGTERM",
    async () => {
      const seen = await until("the rows", 20, () => {
        const text = watching.log();
        return /order .* net1 .* deleted +\d+[ms]\S*$/m.test(text) && text;
      });
      expectMatch("head", seen, /^NAMESPACE +POD .* AGE$/m);
      expectMatch("row", seen, /order .* net1 .* live +\d+[ms]\S*$/m);
      expectEqual("exit code", await watching.stop(), 0);
      return seen;
    },
  );
}

/** Pods of a time in which the runtime does not know genie, as after a restart. */
async function createPastGenie(cluster: Cluster): Promise<void> {
  const { kubectl } = cluster;
  await untilRuntimeReads(cluster, () => renameSync(config, `${config}.away`));
  await kubectl.apply([
    ...workload("free", false),
    ...workload("budgeted", true),
    podObject("alone", both),
    { ...podObject("host", both), spec: { ...podSpec, hostNetwork: true } },
  ]);
  await kubectl.run(
    "wait",
    "--for=jsonpath={.status.readyReplicas}=1",
    "replicaset/free",
    "replicaset/budgeted",
    "--timeout=60s",
  );
  await waitReady(kubectl, "alone", "host");
  await untilRuntimeReads(cluster, () => renameSync(`${config}.away`, config));
}

/** Pods that genie attaches: one in order, one that gets an annotation afterwards, one that fails. */
async function createByGenie(kubectl: Kubectl): Promise<void> {
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

async function podsOf(kubectl: Kubectl, name: string): Promise<string[]> {
  const label = `workload=${name}`;
  const names = await kubectl.run("get", "pods", "-l", label, "-o", "name");
  return names.trim().replaceAll("pod/", "").split("\n");
}

/** Of genie, about a pod. */
function eventsOf(kubectl: Kubectl, pod: string): Promise<string> {
  return kubectl.run(
    "get",
    "events",
    `--field-selector=involvedObject.name=${pod},reportingComponent=genie`,
    "--output=custom-columns=TYPE:.type,REASON:.reason,MESSAGE:.message",
    "--no-headers",
  );
}

function audit(...words: string[]) {
  return attempt([
    join(binDir, "genie"),
    "audit",
    `--kubeconfig=${kubeletConf}`,
    `--node=${nodeName}`,
    ...words,
  ]);
}

async function expectFindings(kubectl: Kubectl): Promise<string> {
  const { stdout, exitCode } = await audit("-o=json");
  const rows = JSON.parse(stdout) as { name: string; finding: string }[];
  const past = [
    "alone",
    ...(await podsOf(kubectl, "budgeted")),
    ...(await podsOf(kubectl, "free")),
  ];
  expectEqual(
    "findings",
    rows.map(({ name, finding }) => `${name}: ${finding}`),
    [
      ...past.map((name) => `${name}: past-genie`),
      "lacking: network-missing",
    ].toSorted(),
  );
  expectEqual("exit code", exitCode, 1);
  return (await audit()).stdout;
}

async function expectEvents(kubectl: Kubectl): Promise<string> {
  const expected: [pod: string, ...RegExp[]][] = [
    [
      "order",
      /AddedInterface +Add eth0 \[10\.244\.1\.\d+\/24\] from flannel/,
      /AddedInterface +Add eth1 \[10\.245\.1\.\d+\/\d+\] from canal/,
    ],
    ["broken", /Warning +FailedAddingInterface +.*no network "nowhere"/],
    ["alone", /Warning +AttachedPastGenie/],
    ["lacking", /Warning +NetworkMissing +.*canal/],
  ];
  const seen = await Promise.all(
    expected.map(([pod, ...patterns]) =>
      until(`events of ${pod}`, 30, async () => {
        const text = await eventsOf(kubectl, pod);
        return patterns.every((pattern) => pattern.test(text)) && text;
      }),
    ),
  );
  const ofHost = await eventsOf(kubectl, "host");
  expectEqual("events of a pod on the host's network", ofHost, "");
  return seen.join("");
}

async function expectMetrics(genie: string): Promise<string> {
  // The agent counts calls and findings in its own time.
  const text = await until("the metrics", 30, readMetrics);
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
}

async function readMetrics(): Promise<string> {
  const text = await (await fetch(`${endpoint}/metrics`)).text();
  for (const sample of [
    /^genie_calls_total\{verb="ADD",code="0"\} ([2-9]|\d\d+)$/m,
    /^genie_calls_total\{verb="ADD",code="7"\} \d/m,
    /^genie_delegate_seconds_count\{plugin="flannel",verb="ADD"\} ([2-9]|\d\d+)$/m,
    /^genie_attachments\{network="canal"\} 1$/m,
    /^genie_attachments\{network="flannel"\} 2$/m,
    /^genie_hostlocal_free\{network="canal"\} 25\d$/m,
    /^genie_audit_findings\{finding="past-genie"\} 3$/m,
    /^genie_audit_findings\{finding="network-missing"\} 1$/m,
  ])
    expectMatch("metrics", text, sample);
  return text;
}

async function expectEvicted(kubectl: Kubectl): Promise<string> {
  const [free = ""] = await podsOf(kubectl, "free");
  const [budgeted = ""] = await podsOf(kubectl, "budgeted");
  const { stdout } = await audit("--evict", "--yes");
  for (const row of [
    `${free} .* yes$`,
    `${budgeted} .* no: a disruption budget`,
    "alone .* no: it has no controller$",
  ])
    expectMatch("rows", stdout, new RegExp(row, "m"));
  const again = await until("its successor", 20, async () =>
    (await podsOf(kubectl, "free")).find(
      (name) => name !== free && name !== "",
    ),
  );
  await waitReady(kubectl, again);
  expectAddresses(await addresses(kubectl, again), {
    eth0: prefixes.flannel,
    eth1: prefixes.canal,
  });
  return stdout;
}

async function removeAll({ kubectl, genie }: Cluster): Promise<void> {
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
}
