/**
 * With which right genie asks: the service account of the manifest, what it may
 * and may not, a token that ends and is renewed, the node's own credential. It
 * leaves the service account in use.
 */
import { server } from "../place.ts";
import { expectEqual, expectMatch } from "../expect.ts";
import {
  account,
  applyManifest,
  install,
  tokenFile,
  untilRuntimeReads,
  writeToken,
} from "../genie.ts";
import { kubeletConf, nodeName } from "../kubelet.ts";
import { type Cluster, expectRequests } from "../node.ts";
import {
  createPods,
  deletePods,
  eventOf,
  multiIp,
  networkStatus,
  networks,
  podObject,
  statusOf,
  table,
  waitReady,
} from "../pod.ts";
import type { Report } from "../report.ts";
import { run } from "../../../scripts/run.ts";
import { until } from "../until.ts";

const definitions = "network-attachment-definitions.k8s.cni.cncf.io";

/** Everything that could be of use to somebody who stole the token. */
const rights: readonly [allowed: boolean, ...what: string[]][] = [
  [true, "get", "pods"],
  [true, "patch", "pods", "--subresource=status"],
  [true, "get", definitions],
  // The agent's part --cache.
  [true, "list", definitions],
  [true, "watch", definitions],
  [false, "list", "pods"],
  [false, "watch", "pods"],
  [false, "create", "pods"],
  [false, "delete", "pods"],
  [false, "patch", "pods"],
  [false, "update", "pods", "--subresource=status"],
  [false, "create", "pods", "--subresource=exec"],
  [false, "create", definitions],
  [false, "get", "secrets"],
  [false, "get", "configmaps"],
  [false, "get", "nodes"],
];

/** Patches of a pod's status that RBAC would let through. */
const patches: readonly [allowed: boolean, what: string, patch: object][] = [
  [
    true,
    "its own annotation",
    { metadata: { annotations: { [multiIp]: "{}", [networkStatus]: "[]" } } },
  ],
  [
    false,
    "another annotation",
    { metadata: { annotations: { owner: "mallory" } } },
  ],
  [false, "a label", { metadata: { labels: { suite: "mallory" } } }],
  [false, "the status", { status: { phase: "Failed" } }],
];

/** Patches of the node that the rights of --taint and --labels would let through. */
const nodePatches: readonly [allowed: boolean, what: string, patch: object][] =
  [
    [
      true,
      "a label of a network",
      labelsOf({ "networks.genie/extra": "ready" }),
    ],
    [true, "no label of a network", labelsOf({ "networks.genie/extra": null })],
    [true, "its taint", taintsOf("genie/not-ready")],
    [true, "no taint", { spec: { taints: null } }],
    [false, "another label", labelsOf({ owner: "mallory" })],
    [false, "another taint", taintsOf("mallory")],
    [
      false,
      "an annotation",
      { metadata: { annotations: { owner: "mallory" } } },
    ],
    [
      false,
      "an owner that does not exist",
      {
        metadata: {
          ownerReferences: [
            {
              apiVersion: "v1",
              kind: "ConfigMap",
              name: "mallory",
              uid: "00000000-0000-0000-0000-000000000000",
            },
          ],
        },
      },
    ],
    [false, "what it may run", { spec: { unschedulable: true } }],
  ];

function labelsOf(labels: Readonly<Record<string, string | null>>): object {
  return { metadata: { labels } };
}

function taintsOf(key: string): object {
  return { spec: { taints: [{ key, effect: "PreferNoSchedule" }] } };
}

export async function checkCredentials(
  cluster: Cluster,
  report: Report,
): Promise<void> {
  report.heading("Credentials");
  await report.check(
    "the manifest's account may do its work and nothing more",
    () => expectRights(cluster),
  );
  await report.check(
    "the admission policy holds it to its own annotations",
    () => expectOwnAnnotations(cluster),
  );
  await report.check(
    "with `--taint --labels` a policy holds it to its own taint and labels of the node",
    () => expectOwnTaint(cluster),
  );
  await report.check(
    "a token whose object is gone fails the pod, a renewed one heals it",
    () => expectRenewal(cluster),
  );
  await report.check(
    "the node's own credential does instead of an account",
    () => expectNodeCredential(cluster),
  );
}

async function expectRights(cluster: Cluster): Promise<string> {
  await applyManifest(cluster);
  const lines: string[] = [];
  for (const [allowed, ...what] of rights) {
    const words = ["auth", "can-i", ...what, `--as=${account}`];
    // The API server learns of roles by a watch.
    const said = await until("the rights", 10, async () => {
      const { stdout } = await cluster.kubectl.attempt(...words);
      expectEqual(what.join(" "), stdout.trim(), allowed ? "yes" : "no");
      return stdout.trim();
    });
    lines.push(`${said.padEnd(3)} ${what.join(" ")}`);
  }
  return lines.join("\n");
}

async function expectOwnAnnotations(cluster: Cluster): Promise<string> {
  await createPods(cluster.kubectl, { victim: {} });
  try {
    const path = "/api/v1/namespaces/default/pods/victim/status";
    return await until("the policy", 20, () =>
      expectHeld(cluster, path, patches),
    );
  } finally {
    await deletePods(cluster.kubectl, "victim");
  }
}

async function expectOwnTaint(cluster: Cluster): Promise<string> {
  await applyManifest(cluster, ["--taint", "--labels"]);
  try {
    const path = `/api/v1/nodes/${nodeName}`;
    return await until("the rights and the policy", 20, () =>
      expectHeld(cluster, path, nodePatches),
    );
  } finally {
    await applyManifest(cluster);
    const policy = "validatingadmissionpolicy";
    for (const kind of [policy, `${policy}binding`])
      await cluster.kubectl.run("delete", kind, "genie-node");
  }
}

async function expectRenewal(cluster: Cluster): Promise<string> {
  const { kubectl } = cluster;
  const system = kubectl.in("kube-system");
  await system.run("create", "secret", "generic", "bound");
  await writeToken(
    cluster,
    "--bound-object-kind=Secret",
    "--bound-object-name=bound",
  );
  await system.run("delete", "secret", "bound");
  // The API server remembers a good token for some seconds.
  await until(
    "the token to be refused",
    30,
    async () => (await ask(cluster, "/api")).status === 401,
  );
  await kubectl.apply([podObject("token", { [networks]: "extra" })]);
  try {
    const said = await eventOf(kubectl, "token", /401|Unauthorized/);
    await writeToken(cluster);
    await waitReady(kubectl, "token");
    return `${said}\n${await table(kubectl)}`;
  } finally {
    await deletePods(kubectl, "token");
  }
}

async function expectNodeCredential(cluster: Cluster): Promise<string> {
  const { kubectl, genie, auditLog } = cluster;
  await untilRuntimeReads(cluster, async () => {
    await run([genie, "install", `--kubeconfig=${kubeletConf}`]);
  });
  try {
    await createPods(kubectl, {
      node: { cni: "flannel,canal", [networks]: "extra" },
    });
    await expectRequests(
      [`patch pods/status system:node:${nodeName} 200`],
      auditLog,
      "node",
    );
    const status = await statusOf(kubectl, "node");
    expectMatch(networkStatus, status, /"interface":"net[13]"/);
    return `${await table(kubectl)}${networkStatus}: ${status}`;
  } finally {
    await kubectl.run("delete", "pod", "node");
    await untilRuntimeReads(cluster, async () => {
      await install(cluster);
    });
  }
}

/** Each patch is made or refused by our policy; the messages. */
async function expectHeld(
  cluster: Cluster,
  path: string,
  tried: readonly [allowed: boolean, what: string, patch: object][],
): Promise<string> {
  const lines: string[] = [];
  for (const [allowed, what, patch] of tried) {
    // A policy that is not in effect yet must not let one through for good.
    const { status, text } = await ask(cluster, `${path}?dryRun=All`, patch);
    expectEqual(`patch of ${what}: ${text}`, status, allowed ? 200 : 422);
    const { message = "patched" } = JSON.parse(text) as { message?: string };
    if (!allowed) expectMatch(what, message, /genie may (not )?change/);
    lines.push(`${what}: ${message}`);
  }
  return lines.join("\n");
}

/** As genie: with the token on disk. */
async function ask(
  { pki }: Cluster,
  path: string,
  patch?: object,
): Promise<{ status: number; text: string }> {
  const token = await Bun.file(tokenFile).text();
  const response = await fetch(`${server}${path}`, {
    headers: {
      authorization: `Bearer ${token}`,
      "content-type": "application/merge-patch+json",
    },
    tls: { ca: pki.ca.cert },
    ...(patch && { method: "PATCH", body: JSON.stringify(patch) }),
  });
  return { status: response.status, text: await response.text() };
}
