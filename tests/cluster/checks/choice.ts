/**
 * Choice above the pod (choice.md): the networks of a namespace and the scheduler's
 * part, by the policy of `genie manifest`. All of it is gone afterwards.
 */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expectAddresses, expectEqual } from "../expect.ts";
import { agentOf } from "../genie.ts";
import { kubeletConf, nodeName } from "../kubelet.ts";
import type { Kubectl } from "../kubectl.ts";
import { confDir, prefixes } from "../networks.ts";
import type { Cluster } from "../node.ts";
import { firstNode } from "../place.ts";
import {
  type Annotations,
  type Pod,
  addresses,
  deletePods,
  eventOf,
  networks,
  podObject,
  podSpec,
  waitForAccount,
  waitReady,
} from "../pod.ts";
import type { Report } from "../report.ts";
import { type SecondNode, startSecondNode } from "../second-node.ts";
import { until } from "../until.ts";
import { run } from "../../../scripts/run.ts";

const team = "team-canal";
const broken = "team-broken";
const large = "team-large";
const filling = "x".repeat(200_000);
const defaultNetwork = "v1.multus-cni.io/default-network";

const namespaces: Readonly<Record<string, Annotations>> = {
  [team]: { cni: "canal", [networks]: "default/extra" },
  [broken]: { cni: "canal,,@" },
  [large]: { cni: `canal,${filling.slice(0, 100_000)}` },
};

interface Case {
  claim: string;
  namespace: string;
  annotations?: Annotations;
  spec?: object;
  expected: { annotations?: Annotations; nodeSelector?: object };
}

const canalSelector = { "networks.genie/canal": "ready" };
const mirror = { "kubernetes.io/config.mirror": "1" };

const cases: readonly Case[] = [
  {
    claim: "nothing of its own",
    namespace: team,
    expected: {
      annotations: namespaces[team] ?? {},
      nodeSelector: canalSelector,
    },
  },
  {
    claim: "other annotations, a selector",
    namespace: team,
    annotations: { "example.com/team": "a/b~c" },
    spec: { nodeSelector: { "kubernetes.io/os": "linux" } },
    expected: {
      annotations: { "example.com/team": "a/b~c", ...namespaces[team] },
      nodeSelector: { "kubernetes.io/os": "linux", ...canalSelector },
    },
  },
  ...[
    { cni: "default" },
    { cni: "" },
    { [networks]: "" },
    { [defaultNetwork]: "extra" },
  ].map((annotations: Annotations) => ({
    claim: JSON.stringify(annotations),
    namespace: team,
    annotations,
    expected: { annotations },
  })),
  {
    claim: "the host's network",
    namespace: team,
    annotations: { a: "b" },
    spec: { hostNetwork: true },
    expected: { annotations: { a: "b" } },
  },
  {
    claim: "a mirror pod",
    namespace: team,
    annotations: mirror,
    spec: { nodeName },
    expected: { annotations: mirror },
  },
  {
    claim: "a malformed annotation of the namespace",
    namespace: broken,
    expected: {
      annotations: namespaces[broken] ?? {},
      nodeSelector: canalSelector,
    },
  },
  {
    claim: "annotations that have no room for those of the namespace",
    namespace: large,
    annotations: { other: filling },
    expected: { annotations: { other: filling } },
  },
  ...[
    {
      claim: "the host's network with networks of its own",
      annotations: { cni: "canal" },
      spec: { hostNetwork: true },
    },
    {
      claim: "a selector of the same label",
      annotations: { cni: "canal" },
      spec: { nodeSelector: { "networks.genie/canal": "other" } },
      selector: { "networks.genie/canal": "other" },
    },
    {
      claim: "more networks than a pod can have",
      annotations: { cni: Array.from({ length: 33 }, () => "canal").join() },
    },
    {
      claim: "blanks of every kind",
      annotations: { cni: "\tcanal\n,\u00a0CANAL @ net1 ,Default" },
      selector: canalSelector,
    },
  ].map(({ claim, annotations, spec, selector }): Case => ({
    claim,
    namespace: "default",
    annotations,
    ...(spec && { spec }),
    expected: { annotations, ...(selector && { nodeSelector: selector }) },
  })),
  {
    claim: "names that are no names of labels",
    namespace: "default",
    annotations: { cni: `Weave@eth1, default,a b,-x,,${"n".repeat(64)},A.b_c` },
    expected: {
      annotations: {
        cni: `Weave@eth1, default,a b,-x,,${"n".repeat(64)},A.b_c`,
      },
      nodeSelector: {
        "networks.genie/weave": "ready",
        "networks.genie/a.b_c": "ready",
      },
    },
  },
];

export async function checkChoice(
  cluster: Cluster,
  report: Report,
): Promise<void> {
  const { kubectl, genie } = cluster;
  report.heading("Choice above the pod");
  const policy = await printedPolicy(genie);
  // Until it is needed, the checks before go on.
  const starting = startSecondNode(cluster);
  starting.catch(() => {});

  await report.check(
    "`genie manifest --namespace-networks --network-scheduling` is accepted",
    () => applyPolicy(kubectl, policy),
  );
  await report.check(
    "by dry run: set, inherited, opted out, malformed, host network",
    () => expectCases(kubectl),
  );
  await report.check(
    "a pod waits until a node has its network, and gets the networks of its namespace",
    () => expectInherited(kubectl),
  );
  await report.check(
    "of two nodes, labelled by their agents, pods go to the one that has their network",
    async () => {
      await using second = await starting;
      return await expectScheduled(cluster, second);
    },
  );
  await report.check("without the policy nothing is changed", () =>
    removePolicy(kubectl, policy),
  );
}

async function applyPolicy(
  kubectl: Kubectl,
  policy: readonly Printed[],
): Promise<string> {
  const said = await kubectl.apply([
    ...Object.entries(namespaces).map(([name, annotations]) => ({
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name, annotations },
    })),
    ...policy,
  ]);
  for (const name of Object.keys(namespaces))
    await waitForAccount(kubectl.in(name));
  await until("the policy to act", 20, async () => {
    const pod = await dryRun(kubectl, { namespace: team });
    return pod.metadata.annotations?.["cni"] !== undefined;
  });
  return said;
}

async function expectCases(kubectl: Kubectl): Promise<string> {
  const seen = await Promise.all(
    cases.map(async ({ claim, expected, ...one }) => {
      const { metadata, spec } = await dryRun(kubectl, one);
      const { annotations } = metadata;
      const { nodeSelector } = spec;
      expectEqual(
        claim,
        {
          ...(annotations && { annotations }),
          ...(nodeSelector && { nodeSelector }),
        },
        expected,
      );
      return `${claim}: ${JSON.stringify(expected).slice(0, 300)}`;
    }),
  );
  return seen.join("\n");
}

async function expectInherited(kubectl: Kubectl): Promise<string> {
  const [ofTeam, ofBroken] = [kubectl.in(team), kubectl.in(broken)];
  await kubectl.apply([
    podObject("inherits", {}, team),
    podObject("malformed", {}, broken),
  ]);
  try {
    const waits = await eventOf(ofTeam, "inherits", /FailedScheduling/);
    await kubectl.run("label", "node", nodeName, "networks.genie/canal=ready");
    await waitReady(ofTeam, "inherits");
    const seen = await addresses(ofTeam, "inherits");
    expectAddresses(seen, { eth0: prefixes.canal, net1: prefixes.extra });
    const fails = await eventOf(
      ofBroken,
      "malformed",
      /failed to parse annotation "cni" "canal,,@": element 2: empty network name/,
    );
    return `${waits}${JSON.stringify(seen)}\n${fails}`;
  } finally {
    await kubectl.run("label", "node", nodeName, "networks.genie/canal-");
    await Promise.all([
      deletePods(ofTeam, "inherits"),
      deletePods(ofBroken, "malformed"),
    ]);
  }
}

/** Each node has one network of its own, and its agent a label for it. */
async function expectScheduled(
  cluster: Cluster,
  second: SecondNode,
): Promise<string> {
  const { kubectl, directory } = cluster;
  const places = [firstNode(directory), second];
  const agents = places.map((place) =>
    agentOf(
      cluster,
      // With the node's own credential.
      ["--labels", "--no-cache", `--kubeconfig=${kubeletConf}`],
      { place },
    ),
  );
  const only = { [nodeName]: "weave", [second.name]: "lan" };
  const files = places.map(({ name, root }) =>
    join(root, confDir, `30-${only[name]}.conf`),
  );
  const pods = Object.entries(only).flatMap(([node, network]) =>
    [0, 1, 2].map((i) => ({ name: `${network}${i}`, network, node })),
  );
  try {
    for (const file of files) writeFileSync(file, JSON.stringify(bridge));
    await kubectl.apply(
      pods.map(({ name, network }) => podObject(name, { cni: network })),
    );
    for (const agent of agents) await agent.start();
    for (const { name, node } of pods)
      await until(`${name} to be scheduled`, 20, async () => {
        const { spec } = await kubectl.get<ScheduledPod>("pod", name);
        expectEqual(name, spec.nodeName, node);
        return true;
      });
    return await kubectl.run("get", "nodes", "-L", columns);
  } finally {
    await deletePods(kubectl, ...pods.map(({ name }) => name));
    for (const file of files) rmSync(file, { force: true });
    await until("the labels to be removed", 20, async () => {
      const label = "networks.genie/weave";
      return (await kubectl.run("get", "nodes", "-l", label)).trim() === "";
    });
    for (const agent of agents) await agent.stop();
    await kubectl.run("label", "node", nodeName, ...removal);
  }
}

async function removePolicy(
  kubectl: Kubectl,
  policy: readonly Printed[],
): Promise<void> {
  for (const { kind, metadata } of policy)
    await kubectl.run("delete", kind, metadata.name);
  await until("the policy to be gone", 20, async () => {
    const pod = await dryRun(kubectl, { namespace: team });
    return pod.metadata.annotations === undefined;
  });
  const names = Object.keys(namespaces);
  await kubectl.run("delete", "namespace", ...names, "--wait=false");
}

interface ScheduledPod {
  spec: { nodeName?: string };
}

const bridge = {
  cniVersion: "1.0.0",
  name: "bridge-net",
  type: "bridge",
  bridge: "weave0",
  ipam: { type: "host-local", subnet: "10.247.1.0/24" },
};

const columns = ["weave", "lan", "canal"]
  .map((name) => `networks.genie/${name}`)
  .join(",");

/** Removes the labels of the networks that the node always has. */
const removal = [
  "canal",
  "cbr0",
  "flannel",
  "k8s-pod-network",
  "ptp",
  "10-flannel",
  "20-canal",
].map((name) => `networks.genie/${name}-`);

interface Printed {
  kind: string;
  metadata: { name: string };
}

async function printedPolicy(genie: string): Promise<Printed[]> {
  const text = await run([
    genie,
    "manifest",
    "--namespace-networks",
    "--network-scheduling",
  ]);
  const objects = Bun.YAML.parse(text) as Printed[];
  return objects.filter(({ kind }) => kind.startsWith("MutatingAdmission"));
}

/** The pod that the API server would store. */
async function dryRun(
  kubectl: Kubectl,
  { namespace, annotations, spec }: Omit<Case, "claim" | "expected">,
): Promise<Pod & { spec: { nodeSelector?: object } }> {
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "dry", namespace, ...(annotations && { annotations }) },
    spec: { ...podSpec, ...spec },
  };
  return JSON.parse(
    await kubectl.create(pod, "--dry-run=server", "-o", "json"),
  ) as Pod & { spec: { nodeSelector?: object } };
}
