/**
 * The auxiliary chain (selection.md §11) by the compiled executable: executed last for
 * every pod, recorded and deleted, and no attachment of the pod.
 */
import { describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startApiServer } from "../support/api-server.ts";
import { Cluster } from "../support/cluster.ts";
import { changed, configure } from "../support/hot-cluster.ts";
import { type Node, nothing } from "../support/node.ts";
import {
  type ScriptedNode,
  attached,
  scriptedResult,
  startScriptedNode,
  stdinOf,
} from "../support/scripted-node.ts";
import { failing, summary } from "../support/delegate.ts";

const config = { auxiliaryChain: "vendor" };
const none = { annotations: {}, config };

function addToChain({ confDir }: Node, file: string, content: unknown): void {
  mkdirSync(join(confDir, "vendor"), { recursive: true });
  const text = typeof content === "string" ? content : JSON.stringify(content);
  writeFileSync(join(confDir, "vendor", file), text);
}

/** The default network alpha; the chain is beta, then gamma. */
async function start(cniVersion = "1.0.0"): Promise<ScriptedNode> {
  const node = await startScriptedNode(cniVersion);
  addToChain(node, "20-second.conf", { cniVersion, type: "gamma" });
  addToChain(node, "10-first.conf", {
    cniVersion,
    type: "beta",
    a: 1,
  });
  return node;
}

const done = ["ADD alpha eth0", "ADD beta eth0", "ADD gamma eth0"];
const undone = ["DEL gamma eth0", "DEL beta eth0", "DEL alpha eth0"];

describe("the auxiliary chain", () => {
  test("ADD, CHECK, DEL: after the primary with its result, which it does not replace", async () => {
    await using node = await start();
    const pod = await node.pod();
    expect(await node.succeed("ADD", pod, none)).toEqual(scriptedResult(0));
    const calls = node.delegates.calls();
    expect(calls.map(summary)).toEqual(done);
    expect(stdinOf(calls[1])).toEqual({
      cniVersion: "1.0.0",
      name: "vendor",
      type: "beta",
      a: 1,
      prevResult: scriptedResult(0),
    });
    expect(stdinOf(calls[2])).toMatchObject({
      name: "vendor",
      prevResult: scriptedResult(1),
    });
    const { formatVersion, attachments, auxiliary } = node.record(pod);
    expect({ formatVersion, attachments, auxiliary }).toMatchObject({
      formatVersion: 2,
      attachments: [{ list: { name: "alpha-net" }, ifname: "eth0" }],
      auxiliary: { list: { name: "vendor" }, ifname: "eth0" },
    });
    expect(node.command("list").stdout).not.toContain("vendor");
    node.delegates.forget();
    await node.succeed("CHECK", pod);
    const checks = node.delegates.calls();
    expect(checks.map(summary)).toEqual(
      done.map((one) => one.replace("ADD", "CHECK")),
    );
    expect(stdinOf(checks[1])).toMatchObject({ prevResult: scriptedResult(2) });
    node.delegates.forget();
    // DEL goes by the record.
    await node.succeed("DEL", pod, { config: { auxiliaryChain: undefined } });
    const deletions = node.delegates.calls();
    expect(deletions.map(summary)).toEqual(undone);
    expect(deletions.map((call) => stdinOf(call))).toMatchObject([
      { name: "vendor", prevResult: scriptedResult(2) },
      { name: "vendor", prevResult: scriptedResult(2) },
      { name: "alpha-net", prevResult: scriptedResult(0) },
    ]);
    expect(await node.remains()).toEqual(nothing);
  });

  test("several networks: on the primary's interface; the pod's status does not have it", async () => {
    await using api = await startApiServer();
    await using node = await start();
    const kubernetes = { kubeconfig: api.kubeconfig() };
    const pod = await node.pod();
    const { name, namespace, uid } = pod;
    api.pods.put({ metadata: { name, namespace, uid } });
    const annotations = { cni: "gamma@net1,alpha" };
    await node.succeed("ADD", pod, {
      annotations,
      config: { ...config, kubernetes },
    });
    const calls = node.delegates.calls();
    expect(calls.map(summary)).toEqual([
      "ADD gamma net1",
      "ADD alpha eth0",
      "ADD beta eth0",
      "ADD gamma eth0",
    ]);
    expect(stdinOf(calls[2])).toMatchObject({ prevResult: scriptedResult(0) });
    const written = api.pods.get(namespace, name)?.metadata.annotations;
    const status = written?.["k8s.v1.cni.cncf.io/network-status"] ?? "[]";
    expect(JSON.parse(status)).toMatchObject([
      { name: "gamma-net", interface: "net1" },
      { name: "alpha-net", interface: "eth0" },
    ]);
    // A single network is not written because of it.
    const single = await node.pod();
    const before = api.requests.length;
    await node.succeed("ADD", single, {
      ...none,
      config: { ...config, kubernetes },
    });
    expect(api.requests.length).toBe(before);
  });

  test("a file with disableCheck: CHECK leaves the chain out", async () => {
    await using node = await start();
    addToChain(node, "30-more.conflist", {
      cniVersion: "1.0.0",
      name: "more",
      disableCheck: true,
      plugins: [{ type: "beta" }],
    });
    const pod = await node.attach(none);
    node.delegates.forget();
    await node.succeed("CHECK", pod);
    expect(node.delegates.executed()).toEqual(["CHECK alpha eth0"]);
  });

  test("GC: no list has it, and its plugins get none", async () => {
    await using node = await start("1.1.0");
    const pod = await node.pod();
    const own = { ...config, cniVersion: "1.1.0" };
    await node.succeed("ADD", pod, { annotations: {}, config: own });
    node.delegates.forget();
    const valid = [{ containerID: pod.containerId, ifname: "eth0" }];
    await node.succeed("GC", undefined, {
      config: { ...own, "cni.dev/valid-attachments": valid },
    });
    const calls = node.delegates.calls();
    expect(calls.map(summary)).toEqual(["GC alpha"]);
    expect(stdinOf(calls[0])).toMatchObject({
      "cni.dev/valid-attachments": valid,
    });
  });

  test.each<[string, (node: Node) => void]>([
    ["a missing directory", () => {}],
    ["an empty one", ({ confDir }) => mkdirSync(join(confDir, "vendor"))],
    ["other files", (node) => addToChain(node, "README.md", "vendor's")],
  ])("%s: nothing, and a record that 0.1.0 reads", async (_, prepare) => {
    await using node = await startScriptedNode();
    prepare(node);
    const pod = await node.attach(none);
    expect(node.delegates.executed()).toEqual(["ADD alpha eth0"]);
    expect(node.record(pod)).toMatchObject({ formatVersion: 1 });
    expect(node.record(pod)).not.toHaveProperty("auxiliary");
  });

  test.each<[string, unknown, RegExp]>([
    ["torn", "{", /vendor: 30-x\.conf: error parsing configuration/],
    [
      "genie itself",
      { type: "genie" },
      /vendor: it would execute genie again$/,
    ],
    ["a missing plugin", { type: "delta" }, /vendor\] .*plugin "delta"/],
  ])("%s: error 7, nothing is executed", async (_, content, msg) => {
    await using node = await start();
    addToChain(node, "30-x.conf", content);
    const failure = await node.fail("ADD", await node.pod(), none);
    expect(failure).toMatchObject({
      code: 7,
      msg: expect.stringMatching(msg),
    });
    expect(node.delegates.calls()).toEqual([]);
    expect(await node.remains()).toEqual(nothing);
  });

  test("it fails: all of it is rolled back", async () => {
    await using node = await start();
    node.delegates.behave("ADD gamma", failing("no", 77));
    const failure = await node.fail("ADD", await node.pod(), none);
    expect(failure).toMatchObject({
      code: 77,
      msg: '[shop/web:vendor] plugin "gamma" failed to add eth0: no',
    });
    expect(node.delegates.executed()).toEqual([...done, ...undone]);
    expect(await node.remains()).toEqual(nothing);
  });

  test("its DEL fails: a retry repeats only it, then it is abandoned and deleted by gc", async () => {
    await using node = await start();
    const pod = await node.attach(none);
    node.delegates.forget();
    node.delegates.behave("DEL gamma", failing("no", 77));
    expect(await node.fail("DEL", pod)).toMatchObject({ code: 77 });
    expect(node.delegates.executed()).toEqual([
      "DEL gamma eth0",
      "DEL alpha eth0",
    ]);
    expect(node.record(pod)).toMatchObject({
      attachments: [],
      auxiliary: { list: { name: "vendor" } },
      failures: { count: 1 },
    });
    node.delegates.forget();
    const soon = { config: { deleteGiveUp: 0.001 } };
    await node.fail("DEL", pod, soon);
    await node.succeed("DEL", pod, soon);
    expect(node.delegates.executed()).toEqual([
      "DEL gamma eth0",
      "DEL gamma eth0",
    ]);
    const { records, abandoned } = await node.remains();
    expect({ records, abandoned: abandoned.length }).toEqual({
      records: [],
      abandoned: 2,
    });
    expect(node.command("list", "--abandoned").stdout).toContain("vendor");
    node.delegates.behave("DEL gamma", {});
    node.delegates.forget();
    node.command("gc");
    expect(node.delegates.executed()).toEqual([
      "DEL gamma eth0",
      "DEL beta eth0",
    ]);
    expect(await node.remains()).toEqual(nothing);
  });
});

test("a running pod gets and loses a network: the chain is executed once, and keeps its result", async () => {
  await using cluster = await Cluster.start();
  const { node } = cluster;
  const trace = join(node.directory, "trace");
  node.plugin(
    "marker",
    `#!/bin/sh
text=$(cat)
echo "$CNI_COMMAND $CNI_IFNAME $(echo "$text" | grep -c '"marked"')" >> ${trace}
case $CNI_COMMAND in
ADD) echo '{"cniVersion":"1.0.0","interfaces":[],"ips":[],"routes":[{"dst":"10.9.9.0/24"}],"dns":{"domain":"marked"}}' ;;
esac
`,
  );
  addToChain(node, "10-marker.conf", { cniVersion: "1.0.0", type: "marker" });
  configure(cluster, config);
  const pod = await cluster.pod({});
  await cluster.add(pod, { config });
  await changed(cluster, "attach", "shop/web", "weave");
  expect(await attached(pod)).toEqual({ eth0: "canal", eth1: "weave" });
  await cluster.check(pod, { config });
  await changed(cluster, "detach", "shop/web", "eth1");
  await cluster.check(pod, { config });
  await cluster.del(pod);
  expect(readFileSync(trace, "utf8").trim().split("\n")).toEqual([
    "ADD eth0 0",
    "CHECK eth0 1",
    "CHECK eth0 1",
    "DEL eth0 1",
  ]);
  expect(await node.remains()).toEqual(nothing);
});
