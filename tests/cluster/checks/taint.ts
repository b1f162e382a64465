/**
 * The startup taint on a second node: no pod before its networks are ready, and the taint
 * again after STATUS failed for a minute, while other checks run. The second node takes
 * none of their pods.
 */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Daemon } from "../daemon.ts";
import { expectAddresses, expectEqual, expectMatch } from "../expect.ts";
import { agentOf, applyManifest, tokenFile } from "../genie.ts";
import { confDir } from "../networks.ts";
import type { Cluster } from "../node.ts";
import { addresses, deletePods, podObject, waitReady } from "../pod.ts";
import type { Report } from "../report.ts";
import { type SecondNode, startSecondNode } from "../second-node.ts";
import { until } from "../until.ts";

const taint = "genie/not-ready";

/** Its account keeps the rights of `--taint` while other checks apply other manifests. */
const account = "genie-taint";
const rights = [
  {
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: { name: account, namespace: "kube-system" },
  },
  {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRole",
    metadata: { name: account },
    rules: [{ apiGroups: [""], resources: ["nodes"], verbs: ["get", "patch"] }],
  },
  {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRoleBinding",
    metadata: { name: account },
    roleRef: {
      apiGroup: "rbac.authorization.k8s.io",
      kind: "ClusterRole",
      name: account,
    },
    subjects: [
      { kind: "ServiceAccount", name: account, namespace: "kube-system" },
    ],
  },
];

/** Returns the second half, which waits until the minute is over and removes the node. */
export async function checkTaint(
  cluster: Cluster,
  report: Report,
): Promise<() => Promise<void>> {
  report.heading("The startup taint");
  let second: SecondNode | undefined;
  let agent: Daemon | undefined;
  const isJoined = await report.check(
    "a new node with the taint gets no pod before its networks are ready, then the agent removes the taint",
    async () => {
      await applyManifest(cluster, ["--taint"]);
      second = await startSecondNode(
        cluster,
        `--register-with-taints=${taint}:NoSchedule`,
      );
      agent = agentOf(cluster, ["--taint", "--no-cache"], { place: second });
      const waiting = await removeTaint(cluster, second, agent);
      return `${waiting}${agent.log()}`;
    },
  );
  if (!isJoined || !second || !agent) {
    // The pods of the other checks must not come to it.
    await agent?.stop();
    await second?.[Symbol.asyncDispose]();
    return async () => {};
  }
  const node = second;
  const running = agent;
  await useOwnAccount(cluster, node, running);
  // The other checks' pods stay away; its taint is not genie's.
  await cluster.kubectl.run("cordon", node.name);
  const network = join(node.root, confDir, "10-flannel.conflist");
  renameSync(network, `${network}.away`);
  const removed = new Date();
  return async () => {
    report.heading("The startup taint, a minute later");
    await report.check(
      "STATUS fails for 60 s: the taint comes back beside another one, and goes when STATUS is good",
      async () => {
        const set = await until(
          "the taint",
          100,
          () => /^.*set the taint.*$/m.exec(running.log())?.[0],
        );
        const { time } = JSON.parse(set) as { time: string };
        const seconds = (Date.parse(time) - removed.getTime()) / 1000;
        // The agent looks each 10 s while STATUS is good, and asks it on a busy node.
        expectEqual("60 to 90 s", seconds >= 60 && seconds < 90, true);
        const both = await taintsOf(cluster, node);
        expectMatch("taints", both, /unschedulable.*genie\/not-ready/);
        renameSync(`${network}.away`, network);
        const other = await until("the taint to go", 20, async () => {
          const taints = await taintsOf(cluster, node);
          return !taints.includes(taint) && taints;
        });
        expectMatch("taints", other, /unschedulable/);
        return `${removed.toISOString()}: 10-flannel.conflist is removed\n${set}\n${both}\n${running.tail(1)}\n${other}`;
      },
    );
    await running.stop();
    await node[Symbol.asyncDispose]();
    const { kubectl } = cluster;
    await kubectl.run(
      "delete",
      `clusterrole/${account}`,
      `clusterrolebinding/${account}`,
    );
    await kubectl.run("delete", "serviceaccount", account, "-n", "kube-system");
  };
}

async function useOwnAccount(
  cluster: Cluster,
  node: SecondNode,
  agent: Daemon,
): Promise<void> {
  const { kubectl } = cluster;
  await agent.stop();
  await kubectl.apply(rights);
  for (const kind of ["", "binding"])
    await kubectl.run(
      "delete",
      `validatingadmissionpolicy${kind}`,
      "genie-node",
    );
  await writeNodeToken(cluster, node, account);
  await agent.start();
}

/** As the kubelet's: bound to the node. */
async function writeNodeToken(
  { kubectl }: Cluster,
  { root, name }: SecondNode,
  of: string,
): Promise<void> {
  const token = await kubectl.run(
    ..."create token -n kube-system --bound-object-kind=Node".split(" "),
    `--bound-object-name=${name}`,
    of,
  );
  mkdirSync(`${root}/etc/genie`, { recursive: true });
  writeFileSync(root + tokenFile, token.trim(), { mode: 0o600 });
}

/** Why the pod had to wait. */
async function removeTaint(
  cluster: Cluster,
  node: SecondNode,
  agent: Daemon,
): Promise<string> {
  const { kubectl, genie, pki } = cluster;
  const pod = podObject("early", { cni: "flannel,canal" }) as { spec: object };
  await kubectl.apply([
    {
      ...pod,
      spec: {
        ...pod.spec,
        nodeSelector: { "kubernetes.io/hostname": node.name },
      },
    },
  ]);
  const waiting = await until("the scheduler to say why", 20, async () => {
    const said = await kubectl.run(
      ..."get events --field-selector involvedObject.name=early -o custom-columns=MESSAGE:.message --no-headers".split(
        " ",
      ),
    );
    return said.includes("untolerated taint") && said;
  });
  // It may change no other node.
  await writeNodeToken(cluster, node, "genie");
  await agent.start();
  await node.run(
    genie,
    "install",
    `--server=${node.server}`,
    `--certificate-authority=${pki.ca.certFile}`,
    `--token-file=${tokenFile}`,
  );
  await waitReady(kubectl, "early");
  expectAddresses(await addresses(kubectl, "early"), {
    eth0: "10.244.2.",
    eth1: "10.245.2.",
  });
  // Kubernetes' own, of the time before the node was ready, may still be there.
  const taints = await taintsOf(cluster, node);
  expectEqual("genie's taint", taints.includes(taint), false);
  await deletePods(kubectl, "early");
  return waiting;
}

function taintsOf({ kubectl }: Cluster, { name }: SecondNode): Promise<string> {
  return kubectl.run("get", "node", name, "-o", "jsonpath={.spec.taints}");
}
