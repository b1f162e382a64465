/** `genie agent --taint` and `--labels` (agent.md "Taint and labels"), by the compiled executable. */
import { describe, expect, test } from "bun:test";
import { copyFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { RunningAgent } from "../support/agent.ts";
import { type ApiServer, startApiServer } from "../support/api-server.ts";
import { genieBinary } from "../support/build.ts";
import { until } from "../support/delegate.ts";
import type { Node } from "../support/node.ts";
import { startScriptedNode } from "../support/scripted-node.ts";

const ready = (...names: string[]) =>
  Object.fromEntries(names.map((name) => [`networks.genie/${name}`, "ready"]));

function nodeOf(api: ApiServer) {
  return api.nodes.get("", "node1") as unknown as {
    metadata: { labels: Record<string, string> };
    spec: { taints: object[] };
  };
}

/** The runtime's configuration is genie's, and it has the plugin. */
function install(node: Node, api: ApiServer): void {
  const kubernetes = { kubeconfig: api.kubeconfig() };
  node.network("00-genie.conflist", {
    cniVersion: "1.0.0",
    name: "genie-net",
    plugins: [node.config({ kubernetes, logFile: undefined })],
  });
  copyFileSync(genieBinary(), join(node.binDir, "genie"));
}

/** Of networks by their files: of `10-alpha.conf` also the key `alpha` and the name `alpha-net`. */
function namesOf(...files: string[]): string[] {
  return files.flatMap((file) => {
    const key = file.replace(/^\d+-/, "");
    return [file, key, `${key}-net`];
  });
}

function state(node: Node): unknown {
  return JSON.parse(node.command("node-state").stdout);
}

describe("node-state", () => {
  test("names of networks that are ready; why genie is not", async () => {
    await using api = await startApiServer();
    await using node = await startScriptedNode("1.1.0");
    for (const type of ["alpha", "beta", "gamma"])
      renameSync(join(node.delegates.bin, type), join(node.binDir, type));
    const names = namesOf("10-alpha", "20-beta", "30-gamma").toSorted();
    expect(state(node)).toEqual({
      problem: 'the runtime uses "10-alpha.conf", which is not genie\'s',
      names,
    });
    install(node, api);
    expect(state(node)).toEqual({ names });
    // A missing plugin, and a STATUS that fails.
    rmSync(join(node.binDir, "gamma"));
    const no = { code: 50, msg: "no link" };
    node.delegates.behave("STATUS alpha", { stdout: no, exit: 1 });
    node.network("40-Weave_X.conf", {
      cniVersion: "1.0.0",
      name: "Upper",
      type: "beta",
    });
    expect(state(node)).toEqual({
      problem: expect.stringContaining("no link"),
      names: ["20-beta", "40-weave_x", "beta", "beta-net", "upper", "weave_x"],
    });
    rmSync(join(node.binDir, "genie"));
    expect(state(node)).toMatchObject({
      problem: expect.stringContaining('failed to find plugin "genie"'),
    });
  });

  test("below a root that does not have a directory of its own name", async () => {
    await using node = await startScriptedNode();
    const { exitCode, stdout, stderr } = node.command(
      "node-state",
      `--root=${node.directory}`,
      "--conf-dir=/net.d",
      "--bin-dir=/bin",
      "--data-dir=/data",
    );
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    // That root has no shell to execute the plugins.
    expect(JSON.parse(stdout)).toEqual({
      problem: 'the runtime uses "10-alpha.conf", which is not genie\'s',
      names: [],
    });
  });
});

describe("genie agent --taint --labels", () => {
  test.each([
    ["on the node", []],
    // A process that changes its root asks the node's plugins.
    ["below another root, as in a container", ["--root=/proc/self/root"]],
  ])(
    "%s: the taint goes, labels come; those of a network that went are removed",
    async (_, root) => {
      await using api = await startApiServer();
      await using node = await startScriptedNode();
      for (const type of ["alpha", "beta", "gamma"])
        renameSync(join(node.delegates.bin, type), join(node.binDir, type));
      const other = { key: "other", effect: "NoSchedule" };
      api.nodes.put({
        metadata: {
          name: "node1",
          namespace: "",
          labels: { ...ready("old"), "kubernetes.io/os": "linux" },
        },
        spec: {
          taints: [other, { key: "genie/not-ready", effect: "NoSchedule" }],
        },
      });
      await using agent = new RunningAgent(
        node,
        "--no-cache",
        "--taint",
        "--labels",
        ...root,
        `--kubeconfig=${api.kubeconfig()}`,
      );
      await agent.said("changed the labels of the node");
      const labels = (...files: string[]) => ({
        "kubernetes.io/os": "linux",
        ...ready(...namesOf(...files)),
      });
      expect(nodeOf(api).metadata.labels).toEqual(
        labels("10-alpha", "20-beta", "30-gamma"),
      );
      expect(nodeOf(api).spec.taints).toHaveLength(2);
      install(node, api);
      rmSync(join(node.confDir, "30-gamma.conf"));
      await agent.said("removed the taint genie/not-ready");
      expect(nodeOf(api).spec.taints).toEqual([other]);
      const isGone = () =>
        !("networks.genie/gamma" in nodeOf(api).metadata.labels);
      await until(isGone, "the label to go");
      expect(nodeOf(api).metadata.labels).toEqual(
        labels("10-alpha", "20-beta"),
      );
      expect(await agent.end()).toBe(0);
    },
    60_000,
  );
});
