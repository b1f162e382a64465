/**
 * DEL by the compiled executable: what the record says and nothing else, in
 * reverse, until nothing is left (state.md "DEL").
 */
import { describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { startApiServer } from "../support/api-server.ts";
import {
  type CallOptions,
  type Node,
  type Pod,
  nothing,
} from "../support/node.ts";
import {
  keptKubeconfig,
  scriptedResult,
  startScriptedNode,
  stdinOf,
  store,
  two,
} from "../support/scripted-node.ts";
import { summary } from "../support/delegate.ts";

const reverse = ["DEL beta eth1", "DEL alpha eth0"];

describe("DEL, the record decides", () => {
  const cases: [string, (node: Node) => void, CallOptions][] = [
    ["nothing has changed", () => {}, two],
    ["another annotation", () => {}, { annotations: { cni: "gamma" } }],
    ["no annotation", () => {}, { annotations: null }],
    ["an invalid annotation", () => {}, { annotations: { cni: "@@" } }],
    [
      "no networks any more",
      (node) => rmSync(node.confDir, { recursive: true }),
      two,
    ],
    [
      "only broken networks",
      (node) =>
        void readdirSync(node.confDir).map((file) => node.network(file, "{")),
      two,
    ],
    ["other arguments", () => {}, { ...two, env: { CNI_ARGS: "" } }],
    [
      "another default",
      () => {},
      { ...two, config: { default_plugin: "nowhere" } },
    ],
    [
      "no kubeconfig",
      () => {},
      { config: { kubernetes: { kubeconfig: "/nowhere" } } },
    ],
  ];
  test.each(cases)("%s", async (_, change, options) => {
    await using node = await startScriptedNode();
    const pod = await node.attach(two);
    const added = node.delegates.calls();
    node.delegates.forget();
    change(node);
    await node.succeed("DEL", pod, options);
    const calls = node.delegates.calls();
    expect(calls.map(summary)).toEqual(reverse);
    expect(calls.map(stdinOf)).toEqual([
      {
        cniVersion: "1.0.0",
        name: "beta-net",
        type: "beta",
        prevResult: scriptedResult(1),
      },
      {
        cniVersion: "1.0.0",
        name: "alpha-net",
        type: "alpha",
        prevResult: scriptedResult(0),
      },
    ]);
    expect(calls.map(({ env }) => env["CNI_ARGS"])).toEqual(
      added.map(({ env }) => env["CNI_ARGS"]),
    );
    expect(await node.remains()).toEqual(nothing);
  });

  test("a definition that has changed", async () => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    node.network("10-alpha.conf", {
      cniVersion: "0.3.1",
      name: "old-net",
      type: "alpha",
      vlan: 12345678901234567890n.toString(),
    });
    node.network(
      "20-beta.conf",
      '{"cniVersion":"0.4.0","name":"beta-net","type":"beta","big":12345678901234567890}',
    );
    await node.succeed("ADD", pod, two);
    node.network("10-alpha.conf", {
      cniVersion: "1.0.0",
      name: "new-net",
      type: "gamma",
    });
    node.network("20-beta.conf", {
      cniVersion: "1.0.0",
      name: "new-net",
      type: "gamma",
    });
    node.delegates.forget();
    await node.succeed("DEL", pod, two);
    const [beta, alpha] = node.delegates.calls();
    expect(stdinOf(alpha)).toEqual({
      cniVersion: "0.3.1",
      name: "old-net",
      type: "alpha",
      vlan: "12345678901234567890",
    });
    expect(beta?.stdin).toContain('"big":12345678901234567890');
    expect(stdinOf(beta)).toMatchObject({
      cniVersion: "0.4.0",
      prevResult: {
        cniVersion: "0.4.0",
        ips: [{ version: "4", address: "10.2.0.2/24" }],
      },
    });
    expect(await node.remains()).toEqual(nothing);
  });

  test("the API server is down", async () => {
    await using api = await startApiServer();
    await using node = await startScriptedNode();
    const pod = await node.pod();
    store(api, pod, { cni: "beta" });
    const options = {
      config: { kubernetes: { kubeconfig: keptKubeconfig(node, api) } },
    };
    await node.succeed("ADD", pod, options);
    const asked = api.requests.length;
    await api.stop();
    await node.succeed("DEL", pod, options);
    expect(node.delegates.executed()).toEqual([
      "ADD beta eth0",
      "DEL beta eth0",
    ]);
    expect(api.requests).toHaveLength(asked);
    expect(await node.remains()).toEqual(nothing);
  });

  test("the executables have moved: CNI_PATH of the request, then the recorded one", async () => {
    await using node = await startScriptedNode();
    const pod = await node.attach(two);
    node.delegates.forget();
    const elsewhere = join(node.directory, "elsewhere");
    mkdirSync(elsewhere);
    renameSync(join(node.delegates.bin, "beta"), join(elsewhere, "beta"));
    await node.succeed("DEL", pod, { ...two, env: { CNI_PATH: elsewhere } });
    const path = [elsewhere, ...node.path].join(":");
    expect(node.delegates.executed()).toEqual(reverse);
    expect(node.delegates.calls().map(({ env }) => env["CNI_PATH"])).toEqual([
      path,
      path,
    ]);
    expect(await node.remains()).toEqual(nothing);
  });

  test("binDir is part of the recorded path", async () => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    const env = { CNI_PATH: node.binDir };
    await node.succeed("ADD", pod, {
      ...two,
      env,
      config: { binDir: [node.delegates.bin] },
    });
    await node.succeed("DEL", pod, { ...two, env });
    expect(await node.remains()).toEqual(nothing);
  });
});

test("DEL, containers and interfaces do not touch each other", async () => {
  await using node = await startScriptedNode();
  // Two sandboxes of one pod, and another interface of the first.
  const [a, b] = [await node.pod(), await node.pod()];
  const sandbox: Pod = { ...b, uid: a.uid };
  await node.succeed("ADD", a, { annotations: { cni: "alpha" } });
  await node.succeed("ADD", a, {
    annotations: { cni: "beta" },
    env: { CNI_IFNAME: "eth7" },
  });
  await node.succeed("ADD", sandbox, { annotations: { cni: "gamma" } });
  node.delegates.forget();
  await node.succeed("DEL", a);
  expect(node.delegates.executed()).toEqual(["DEL alpha eth0"]);
  expect((await node.remains()).records).toEqual(
    [`${a.containerId}:eth7`, `${b.containerId}:eth0`]
      .flatMap((name) => [`${name}.json`, `${name}.result.json`])
      .toSorted(),
  );
  await node.succeed("DEL", a, { env: { CNI_IFNAME: "eth7" } });
  await node.succeed("DEL", sandbox);
  expect(await node.remains()).toEqual(nothing);
});
