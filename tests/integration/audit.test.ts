/** `genie audit` with a list of pods (agent.md "Audit"); the real cluster evicts. */
import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { genieBinary } from "../support/build.ts";
import { type Node, type Pod, directoryOptions } from "../support/node.ts";
import { startScriptedNode } from "../support/scripted-node.ts";

const networks = "k8s.v1.cni.cncf.io/networks";

/** As the API server lists it. */
function listed(
  pod: Pick<Pod, "name" | "uid">,
  annotations: Record<string, string> | null,
  more: { spec?: object; status?: object; metadata?: object } = {},
): object {
  const { name, uid } = pod;
  return {
    metadata: { namespace: "shop", name, uid, annotations, ...more.metadata },
    spec: { nodeName: "node1", ...more.spec },
    status: { phase: "Running", ...more.status },
  };
}

const replicaSet = {
  ownerReferences: [
    {
      apiVersion: "apps/v1",
      kind: "ReplicaSet",
      name: "web-1",
      uid: "r",
      controller: true,
    },
  ],
};

function audit(node: Node, pods: readonly object[], ...words: string[]) {
  const file = join(node.directory, "pods.json");
  writeFileSync(file, JSON.stringify({ kind: "PodList", items: pods }));
  return node.command("audit", "-f", file, ...words);
}

/** Pod, finding and networks of each. */
function foundIn(node: Node, pods: readonly object[], ...words: string[]) {
  const { exitCode, stdout, stderr } = audit(node, pods, "-o=json", ...words);
  expect(stderr).toBe("");
  const rows = JSON.parse(stdout) as {
    name: string;
    finding: string;
    networks: string[];
  }[];
  expect(exitCode).toBe(rows.length === 0 ? 0 : 1);
  return rows.map(({ name, finding, networks: missing }) => [
    name,
    finding,
    ...missing,
  ]);
}

describe("genie audit", () => {
  test("pods attached past genie, with a network missing, in another namespace; the others are in order", async () => {
    await using node = await startScriptedNode();
    const attach = async (
      name: string,
      annotations: Record<string, string>,
    ) => {
      const pod = await node.pod(name);
      await node.succeed("ADD", pod, { annotations });
      return pod;
    };
    const order = await attach("in-order", { cni: "alpha,beta" });
    const missing = await attach("missing", { cni: "alpha" });
    const primary = await attach("primary", { cni: "alpha" });
    const plain = await attach("plain", {});
    const moved = await attach("moved", { cni: "beta" });
    const rebooted = await attach("rebooted", { cni: "beta" });
    node.changeRecord(moved, { netnsId: "0:4:1" });
    node.changeRecord(rebooted, { bootId: "another" });
    const none = (name: string) => ({ name, uid: `uid-${name}` });
    const both = { cni: "alpha,beta" };
    const pods = [
      listed(order, { cni: " alpha , beta@eth1" }),
      listed(missing, both, { metadata: replicaSet }),
      listed(primary, { cni: "beta" }),
      listed(plain, null),
      listed(moved, { cni: "beta" }),
      listed(rebooted, { cni: "beta" }),
      listed(none("past"), { [networks]: "storage" }),
      listed(none("past-primary"), {
        "v1.multus-cni.io/default-network": "storage",
        [networks]: "other/b",
      }),
      listed(none("past-plain"), {}),
      listed(none("past-default"), { cni: "default" }),
      listed(none("past-with-uid-of-another"), {
        ...both,
        "kubernetes.io/config.hash": order.uid,
      }),
      listed(none("past-invalid"), { cni: "a,,b" }),
      listed(none("past-long"), { cni: "x".repeat(5000) }),
      listed(none("host"), both, { spec: { hostNetwork: true } }),
      listed(none("pending"), both, { status: { phase: "Pending" } }),
      listed(none("done"), both, { status: { phase: "Succeeded" } }),
      listed(none("failed"), both, { status: { phase: "Failed" } }),
      listed(none("ending"), both, {
        metadata: { deletionTimestamp: "2026-01-02T03:04:05Z" },
      }),
      listed(none("elsewhere"), both, { spec: { nodeName: "node2" } }),
    ];
    expect(foundIn(node, pods, "--node=node1")).toEqual([
      ["missing", "network-missing", "beta"],
      ["moved", "other-namespace"],
      ["past", "past-genie", "shop/storage"],
      ["past-invalid", "past-genie"],
      ["past-long", "past-genie", `${"x".repeat(128)}…`],
      ["past-primary", "past-genie", "storage", "other/b"],
      ["past-with-uid-of-another", "past-genie", "alpha", "beta"],
      ["primary", "network-missing", "the primary on eth0", "beta"],
      ["rebooted", "past-genie", "beta"],
    ]);
    const { stdout, stderr, exitCode } = audit(
      node,
      pods.slice(1, 2),
      "--evict",
    );
    expect({ exitCode, stderr, stdout }).toEqual({
      exitCode: 1,
      stderr:
        "genie audit: nothing is evicted without --yes: 1 of 1 pod has a controller\n",
      stdout:
        "NAMESPACE  POD      FINDING          NETWORKS  CONTROLLER\n" +
        "shop       missing  network-missing  beta      ReplicaSet/web-1\n",
    });
  });

  test("an element's text gives no orders to the terminal", async () => {
    await using node = await startScriptedNode();
    const text = '[{"name":"a","cni-args":{"k":"\u009b2J\u202e"}}]';
    const pod = listed({ name: "p", uid: "u" }, { [networks]: text });
    expect(audit(node, [pod]).stdout).toContain(
      '{"name":"a","cni-args":{"k":"\\u009b2J\\u202e"}}',
    );
  });

  test("a record of a newer genie: no pod is said to be past genie, it may be that one's", async () => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    const annotations = { cni: "beta" };
    await node.succeed("ADD", pod, { annotations });
    node.changeRecord(pod, { formatVersion: 99 });
    const pods = [listed(pod, annotations, { metadata: replicaSet })];
    const found = audit(node, pods, "--node=node1", "--evict", "--yes");
    expect(found).toMatchObject({
      exitCode: 1,
      stdout: "1 pod, nothing found\n",
    });
    expect(found.stderr).toContain("format 99");
  });

  test("nothing found: exit code 0, and how many pods were looked at", async () => {
    await using node = await startScriptedNode();
    const pod = await node.attach({ annotations: { cni: "beta" } });
    const pods = [
      listed(pod, { cni: "beta" }),
      listed({ name: "b", uid: "b" }, {}),
    ];
    expect(audit(node, pods)).toEqual({
      exitCode: 0,
      stdout: "2 pods, nothing found\n",
      stderr: "",
    });
    expect(audit(node, pods, "-o=yaml").stdout).toBe("[]\n");
    expect(audit(node, pods, "--evict")).toMatchObject({
      exitCode: 0,
      stderr: "genie audit: nothing to evict\n",
    });
  });

  test("a list of every node: the pods of this one, by --node, else as configured; by the host's name if a pod has it", async () => {
    await using node = await startScriptedNode();
    const cni = { cni: "beta" };
    const of = (name: string, nodeName: string | null) =>
      listed({ name, uid: name }, cni, { spec: { nodeName } });
    const pods = [of("a", "node1"), of("b", "node2"), of("c", null)];
    const names = (list: object[], ...words: string[]) =>
      foundIn(node, list, ...words).map(([name]) => name);
    expect(names(pods)).toEqual(["a", "b", "c"]);
    expect(names([...pods, of("d", hostname())])).toEqual(["c", "d"]);
    expect(names(pods, "--node=node2")).toEqual(["b", "c"]);
    node.network("00-genie.conflist", {
      cniVersion: "1.0.0",
      name: "alpha-net",
      plugins: [{ type: "genie", nodeName: "node1" }],
    });
    expect(names(pods)).toEqual(["a", "c"]);
  });

  test("a namespace that is gone", async () => {
    await using node = await startScriptedNode();
    const pod = await node.attach({ annotations: { cni: "beta" } });
    await pod.netns[Symbol.asyncDispose]();
    expect(foundIn(node, [listed(pod, { cni: "beta" })])).toEqual([
      ["web", "other-namespace"],
    ]);
  });

  test("a static pod, by the hash of its file; to evict it changes nothing", async () => {
    await using node = await startScriptedNode();
    const pod = await node.attach({ annotations: { cni: "beta" } });
    const mirror = { name: pod.name, uid: "mirror" };
    const hash = { "kubernetes.io/config.hash": pod.uid };
    const ownerReferences = [{ kind: "Node", name: "node1", controller: true }];
    const more = { metadata: { ownerReferences } };
    expect(
      foundIn(node, [listed(mirror, { ...hash, cni: "beta" }, more)]),
    ).toEqual([]);
    const { stdout } = audit(node, [
      listed(mirror, { ...hash, cni: "alpha,beta" }, more),
    ]);
    expect(stdout).toEndWith("network-missing  alpha     -\n");
  });

  test("-f -: the pods of a large cluster, above the limits of a runtime's stdin", async () => {
    await using node = await startScriptedNode();
    const note = { note: "x".repeat(1 << 20) };
    const pods = Array.from({ length: 17 }, (_, i) =>
      listed({ name: `pod-${i}`, uid: `${i}` }, note),
    );
    const { exitCode, stdout, stderr } = Bun.spawnSync({
      cmd: [genieBinary(), "audit", "-f", "-", ...directoryOptions(node)],
      stdin: Buffer.from(JSON.stringify({ kind: "PodList", items: pods })),
    });
    expect(stderr.toString()).toBe("");
    expect([exitCode, stdout.toString()]).toEqual([
      0,
      "17 pods, nothing found\n",
    ]);
  });

  test.each<[what: string, text: string, problem: string]>([
    ["no JSON", "{", "neither YAML nor JSON"],
    [
      "no pod",
      '[{"metadata":{}}]',
      "not a pod: metadata.name: expected a string",
    ],
    [
      "wrong annotations",
      '{"kind":"Pod","metadata":{"name":"a","annotations":{"cni":5}}}',
      "not a pod: metadata.annotations.cni: expected a string, got the number 5",
    ],
  ])("a list that is none, %s: exit code 1", async (_, text, problem) => {
    await using node = await startScriptedNode();
    const file = join(node.directory, "pods.json");
    writeFileSync(file, text);
    const { exitCode, stderr } = node.command("audit", "-f", file);
    expect(exitCode).toBe(1);
    expect(stderr).toContain(`${file}: ${problem}`);
    expect(readFileSync(file, "utf8")).toBe(text);
  });

  test("--yes without --evict: usage error", async () => {
    await using node = await startScriptedNode();
    const { exitCode, stderr } = audit(node, [], "--yes");
    expect([exitCode, stderr.split("\n")[0]]).toEqual([
      2,
      "genie audit: --yes needs --evict",
    ]);
  });
});
