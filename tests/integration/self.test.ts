/**
 * The compiled executable never executes itself, whatever a file calls it and
 * however it gets there (selection.md §4).
 */
import { describe, expect, test } from "bun:test";
import { copyFileSync, linkSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { genieBinary } from "../support/build.ts";
import { type Node, nothing } from "../support/node.ts";
import { callPlugin } from "../support/runtime.ts";
import { startScriptedNode } from "../support/scripted-node.ts";

describe("ADD, a plugin that is this very file: 7, nothing is executed", () => {
  const cases: [string, (own: string, alias: string) => void, object][] = [
    ["a hard link", linkSync, { type: "alias" }],
    ["a symbolic link", symlinkSync, { type: "alias" }],
    [
      "the second of a chain",
      linkSync,
      { plugins: [{ type: "alpha" }, { type: "alias" }] },
    ],
  ];
  test.each(cases)("%s", async (_, link, network) => {
    await using node = await startScriptedNode();
    const binary = join(node.directory, "genie");
    copyFileSync(genieBinary(), binary);
    link(binary, join(node.binDir, "alias"));
    const file = "plugins" in network ? "30-alias.conflist" : "30-alias.conf";
    node.network(file, { cniVersion: "1.0.0", name: "alias-net", ...network });
    const request = node.request("ADD", await node.pod(), {
      annotations: { cni: "beta,alias" },
    });
    const { exitCode, json } = await callPlugin({ ...request, binary });
    expect({ exitCode, json }).toEqual({
      exitCode: 1,
      json: {
        cniVersion: "1.0.0",
        code: 7,
        msg: `[shop/web:alias] refusing to execute plugin "alias": ${node.binDir}/alias is this plugin itself`,
      },
    });
    expect(node.delegates.calls()).toEqual([]);
    expect(await node.remains()).toEqual(nothing);
  });
});

describe("ADD, a file that names genie is no candidate", () => {
  const list = { cniVersion: "1.0.0", name: "other-net" };
  const files: [string, string, object, Record<string, unknown>][] = [
    ["our own file", "00-genie.conf", { ...list, type: "genie" }, {}],
    [
      "another type of ours",
      "00-meta.conf",
      { ...list, type: "meta" },
      { type: "meta" },
    ],
  ];
  test.each(files)("%s", async (_, file, network, config) => {
    await using node = await startScriptedNode();
    node.network(file, network);
    const pod = await node.attach({ annotations: {}, config });
    expect(JSON.parse(node.delegates.calls()[0]?.stdin ?? "")).toMatchObject({
      name: "alpha-net",
    });
    await node.succeed("DEL", pod, { config });
    const key = file.replace(/^00-|\..*$/g, "");
    for (const name of [key, file.replace(/\..*$/, ""), "other-net"]) {
      expect(
        await node.fail("ADD", pod, { annotations: { cni: name }, config }),
      ).toMatchObject({
        code: 7,
        msg: expect.stringContaining(`no network "${name}"`),
      });
    }
    expect(await node.remains()).toEqual(nothing);
  });
});

describe("ADD, GENIE_CONTAINER", () => {
  test("our own container: 7", async () => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    const env = { GENIE_CONTAINER: pod.containerId };
    expect(await node.fail("ADD", pod, { annotations: {}, env })).toMatchObject(
      { code: 7 },
    );
    expect(node.delegates.calls()).toEqual([]);
    expect(await node.remains()).toEqual(nothing);
  });

  test("another container's is replaced", async () => {
    await using node = await startScriptedNode();
    const pod = await node.attach({
      annotations: {},
      env: { GENIE_CONTAINER: "another" },
    });
    const environ = node.delegates
      .calls()[0]
      ?.environ.filter((text) => text.startsWith("GENIE_"));
    expect(environ).toEqual([`GENIE_CONTAINER=${pod.containerId}`]);
  });

  test("a copy of us as the plugin: 7, all is undone", async () => {
    await using node = await startScriptedNode();
    copyFileSync(genieBinary(), join(node.binDir, "copy"));
    node.network("30-loop.conf", { ...loop(node), type: "copy" });
    const failure = await node.fail("ADD", await node.pod(), {
      annotations: { cni: "loop" },
      config: { delegateTimeout: 3 },
    });
    expect(failure).toMatchObject({ code: 7 });
    expect(await node.remains()).toEqual(nothing);
  });

  test("a delegate that calls a copy of us: 7, all is undone", async () => {
    await using node = await startScriptedNode();
    copyFileSync(genieBinary(), join(node.binDir, "copy"));
    node.network("30-loop.conf", loop(node));
    node.delegates.behave("ADD gamma", {
      sh: `'${node.binDir}/copy' <"$log/$$.stdin"; exit`,
    });
    const failure = await node.fail("ADD", await node.pod(), {
      annotations: { cni: "beta,loop" },
    });
    expect(failure).toMatchObject({
      code: 7,
      msg: expect.stringContaining("[shop/web:loop] "),
    });
    expect(
      node.delegates.calls().map(({ verb, type }) => `${verb} ${type}`),
    ).toEqual(["ADD beta", "ADD gamma", "DEL gamma", "DEL beta"]);
    expect(await node.remains()).toEqual(nothing);
  });
});

/** A network that is a configuration of genie as well. */
function loop({ confDir, dataDir }: Node) {
  return {
    cniVersion: "1.0.0",
    name: "loop-net",
    type: "gamma",
    confDir,
    dataDir,
    runtimeConfig: {},
  };
}
