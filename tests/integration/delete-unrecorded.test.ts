/**
 * DEL by the compiled executable of a container that genie has no record of: only
 * one that the runtime's own cache knows was attached before genie came (state.md
 * "DEL", no record).
 */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import {
  type CallOptions,
  type Node,
  type Pod,
  nothing,
} from "../support/node.ts";
import {
  scriptedResult,
  startNode,
  startScriptedNode,
  stdinOf,
} from "../support/scripted-node.ts";
import { failing, summary } from "../support/delegate.ts";

const no = failing();

describe("DEL, no record and no entry of the runtime's cache", () => {
  const cases: [string, CallOptions][] = [
    ["annotations", { annotations: { cni: "beta,gamma@net1" } }],
    ["no annotations", { annotations: null }],
    ["a runtime that hands over none", {}],
    ["prevResult", { config: { prevResult: scriptedResult(0) } }],
    ["no cache", { config: { runtimeCacheDir: "/nowhere" } }],
    ["no look at the cache", { config: { runtimeCacheDir: "" } }],
  ];
  test.each(cases)("%s: nothing is executed or logged", async (_, options) => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    const answer = await node.call("DEL", pod, {
      ...options,
      config: { log_level: "info", ...options.config },
    });
    expect(answer).toMatchObject({ exitCode: 0, stdout: "", stderr: "" });
    expect(node.delegates.calls()).toEqual([]);
    expect(node.log()).toBe("");
    expect(await node.remains()).toEqual(nothing);
  });

  test("the second DEL of a pod", async () => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    const annotations = { cni: "alpha,beta" };
    await node.succeed("ADD", pod, { annotations });
    await node.succeed("DEL", pod, { annotations });
    node.delegates.forget();
    const config = { log_level: "info" };
    rmSync(node.logFile, { force: true });
    const env = { CNI_NETNS: "" };
    await node.succeed("DEL", pod, { annotations, config, env });
    expect([node.delegates.calls(), node.log()]).toEqual([[], ""]);
  });

  test("the DEL after an ADD that failed: no line that reads like a leak", async () => {
    await using node = await startScriptedNode();
    node.delegates.behave("ADD beta", no);
    const pod = await node.pod();
    const annotations = { cni: "alpha,beta" };
    await node.fail("ADD", pod, { annotations });
    node.delegates.forget();
    rmSync(node.logFile, { force: true });
    const config = { log_level: "info" };
    await node.succeed("DEL", pod, { annotations, config });
    expect([node.delegates.calls(), node.log()]).toEqual([[], ""]);
    expect(await node.remains()).toEqual(nothing);
  });

  test("an entry of another container, of another interface, of a part of the ID", async () => {
    await using node = await startScriptedNode();
    const [pod, other] = [await node.pod(), await node.pod("other")];
    const list = { name: "old-net", plugins: [{ type: "beta" }] };
    node.cache(other, list);
    node.cacheText(`cni-loopback-${pod.containerId}-lo`, "{}");
    node.cacheText(`old-net-${pod.containerId.slice(1)}-eth0`, "{}");
    // Its name ends as ours would, but it says whose it is.
    node.cache(pod, list, { containerId: `x-${pod.containerId}` });
    await node.succeed("DEL", pod, { annotations: {} });
    expect(node.delegates.calls()).toEqual([]);
  });
});

describe("DEL, an entry with the networks of an earlier program", () => {
  const list = {
    cniVersion: "0.4.0",
    name: "old-net",
    plugins: [
      { type: "beta", big: 1, capabilities: { mac: true } },
      { type: "gamma" },
    ],
  };
  const result = { ...scriptedResult(1, "0.4.0"), cniVersion: "0.4.0" };

  test("exactly that is deleted, with its arguments and result, and nothing else", async () => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    const ips = [{ version: "4", ...scriptedResult(1).ips[0] }];
    const entry = node.cache(pod, list, {
      result: { ...result, ips },
      capabilityArgs: { mac: "02:00:00:00:00:01", other: 1 },
    });
    await node.succeed("DEL", pod, { annotations: { cni: "alpha,beta@net1" } });
    const calls = node.delegates.calls();
    expect(calls.map(summary)).toEqual(["DEL gamma eth0", "DEL beta eth0"]);
    const common = { cniVersion: "0.4.0", name: "old-net" };
    const prevResult = { ...result, ips, dns: {} };
    expect(calls.map(stdinOf)).toEqual([
      { ...common, type: "gamma", prevResult },
      {
        ...common,
        ...list.plugins[0],
        runtimeConfig: { mac: "02:00:00:00:00:01" },
        prevResult,
      },
    ]);
    for (const { env } of calls)
      expect(env).toMatchObject({
        CNI_ARGS: "IgnoreUnknown=1;K8S_POD_NAME=web",
        CNI_NETNS: pod.netns.path,
        CNI_CONTAINERID: pod.containerId,
      });
    // The runtime removes it itself, after a DEL that succeeded.
    expect(existsSync(entry)).toBe(true);
    expect(await node.remains()).toEqual(nothing);
  });

  test("under whatever network's name, also as the list of one plugin", async () => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    const conf = { cniVersion: "1.0.0", name: "x", type: "gamma" };
    node.cache(pod, conf, {}, "net-with-dashes-9");
    await node.succeed("DEL", pod, { annotations: {} });
    expect(node.delegates.executed()).toEqual(["DEL gamma eth0"]);
  });

  test("a list with a type of its own: its plugins, as libcni executed them", async () => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    node.cache(pod, { ...list, type: "alpha" });
    await node.succeed("DEL", pod, { annotations: {} });
    expect(node.delegates.executed()).toEqual([
      "DEL gamma eth0",
      "DEL beta eth0",
    ]);
  });

  test("of an ADD without arguments: without the request's", async () => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    node.cache(pod, list, { cniArgs: undefined });
    await node.succeed("DEL", pod, { annotations: {} });
    expect(node.delegates.calls().map(({ env }) => env["CNI_ARGS"])).toEqual([
      "",
      "",
    ]);
  });

  test("one that fails is logged with the pod's name; the DEL succeeds", async () => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    node.cache(pod, list);
    node.delegates.behave("DEL gamma", no);
    await node.succeed("DEL", pod, {
      annotations: {},
      config: { log_level: "warn" },
    });
    const lines = node.log().trimEnd().split("\n");
    expect(lines.map((line): unknown => JSON.parse(line))).toEqual([
      expect.objectContaining({
        level: "warn",
        pod: "shop/web",
        network: "old-net",
        error: 'plugin "gamma" failed to delete eth0: no',
      }),
    ]);
    expect(await node.remains()).toEqual(nothing);
  });

  test("flannel's kind: state by container, which the named networks must not use up", async () => {
    await using node = await startNode();
    const pod = await node.attach({ annotations: { cni: "weave" } });
    rmSync(join(node.dataDir, "attachments"), { recursive: true });
    const text = readFileSync(join(node.confDir, "20-weave.conf"), "utf8");
    node.cache(pod, text, {}, "weave-net");
    await node.succeed("DEL", pod, { annotations: { cni: "canal,weave" } });
    expect(await node.remains()).toEqual(nothing);
  });
});

describe("DEL, an entry without usable networks", () => {
  const conf = (type: string) => ({
    cniVersion: "1.0.0",
    name: "old-net",
    plugins: [{ type }],
  });
  const unclear: [string, (node: Node, pod: Pod) => void][] = [
    [
      "genie, as after CNI-Genie",
      (node, pod) => node.cache(pod, conf("genie")),
    ],
    ["Multus", (node, pod) => node.cache(pod, conf("multus"))],
    ["Multus' shim", (node, pod) => node.cache(pod, conf("multus-shim"))],
    [
      "genie as a delegate",
      (node, pod) =>
        node.cache(pod, {
          name: "x",
          type: "alpha",
          DELEGATE: { type: "genie" },
        }),
    ],

    [
      "another kind",
      (node, pod) => node.cache(pod, conf("beta"), { kind: "z" }),
    ],
    [
      "no kind",
      (node, pod) => node.cache(pod, conf("beta"), { kind: undefined }),
    ],
    ["config no base64", (node, pod) => node.cache(pod, "", { config: "!!" })],
    ["config no JSON", (node, pod) => node.cache(pod, "{")],
    ["config a list", (node, pod) => node.cache(pod, "[]")],
    ["no plugins", (node, pod) => node.cache(pod, { name: "x", plugins: [] })],
    ["no text", (node, pod) => node.cacheText(`n-${pod.containerId}-eth0`, "")],
    ["torn", (node, pod) => node.cacheText(`n-${pod.containerId}-eth0`, "{")],
    [
      "a named pipe",
      (node, pod) => {
        const path = node.cacheText(`n-${pod.containerId}-eth0`, "");
        rmSync(path);
        Bun.spawnSync({ cmd: ["mkfifo", path] });
      },
    ],
  ];
  test.each(unclear)(
    "%s: the annotation's networks, last the default",
    async (_, cache) => {
      await using node = await startScriptedNode();
      const pod = await node.pod();
      cache(node, pod);
      const annotations = { cni: "beta,gamma@net1" };
      await node.succeed("DEL", pod, { annotations });
      expect(node.delegates.executed()).toEqual([
        "DEL gamma net1",
        "DEL beta eth0",
        "DEL alpha eth0",
      ]);
      expect(await node.remains()).toEqual(nothing);
    },
  );

  const requests: [string, CallOptions, string[]][] = [
    ["no annotation", { annotations: null }, ["DEL alpha eth0"]],
    ["none handed over", {}, ["DEL alpha eth0"]],
    ["an unknown one", { annotations: { cni: "nowhere" } }, ["DEL alpha eth0"]],
    ["an invalid one", { annotations: { cni: "@@" } }, ["DEL alpha eth0"]],
    [
      "no annotations at all",
      { runtimeConfig: { "io.kubernetes.cri.pod-annotations": 7 } },
      ["DEL alpha eth0"],
    ],
    ["no networks", { annotations: {}, config: { confDir: "/var/empty" } }, []],
  ];
  test.each(requests)("a request with %s", async (_, options, expected) => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    node.cache(pod, conf("genie"));
    node.delegates.behave("DEL alpha", no);
    expect(await node.succeed("DEL", pod, options)).toBeUndefined();
    expect(node.delegates.executed()).toEqual(expected);
    expect(await node.remains()).toEqual(nothing);
  });

  test("the runtime's prevResult is handed on for CNI_IFNAME", async () => {
    await using node = await startScriptedNode();
    const prevResult = scriptedResult(0);
    const pod = await node.pod();
    node.cache(pod, conf("genie"));
    await node.succeed("DEL", pod, { annotations: {}, config: { prevResult } });
    expect(node.delegates.calls().map(stdinOf)).toEqual([
      { cniVersion: "1.0.0", name: "alpha-net", type: "alpha", prevResult },
    ]);
  });

  test("a pod that CNI-Genie attached", async () => {
    await using node = await startNode();
    const pod = await node.attach({ annotations: { cni: "canal,weave" } });
    rmSync(join(node.dataDir, "attachments"), { recursive: true });
    node.cache(pod, conf("genie"));
    await node.succeed("DEL", pod, { annotations: { cni: "canal,weave" } });
    expect(await node.remains()).toEqual(nothing);
  });
});
