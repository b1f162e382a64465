/**
 * `--gc`, by the compiled executable: the agent executes the installed genie in the mount
 * namespace of process 1 (agent.md).
 */
import { describe, expect, test } from "bun:test";
import { symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { whyNoHost } from "../../lib/agent/host-genie.ts";
import { mountNamespace } from "../../lib/linux/netns.ts";
import { RunningAgent } from "../support/agent.ts";
import { genieBinary } from "../support/build.ts";
import { type Node, nothing } from "../support/node.ts";
import { startScriptedNode } from "../support/scripted-node.ts";

/** As if the machine had been started again since the pod's ADD. */
async function addBeforeBoot(node: Node): Promise<string> {
  const pod = await node.pod();
  await node.succeed("ADD", pod, { annotations: { cni: "alpha,beta" } });
  const record = { ...node.record(pod), bootId: crypto.randomUUID() };
  writeFileSync(node.recordPath(pod), JSON.stringify(record));
  return pod.containerId;
}

/** Process 1 is a shell in a mount namespace of its own, the agent in one below. */
const apart = [
  ..."unshare --pid --fork --kill-child --mount-proc sh -c".split(" "),
  'unshare -m "$@" & wait',
  "sh",
  "--",
];

describe("--gc", () => {
  test.each([
    ["here", []],
    ["in another mount namespace than process 1", apart],
  ])("%s, deletes what is left of an earlier boot", async (_where, by) => {
    await using scripted = await startScriptedNode();
    const { node } = scripted;
    symlinkSync(genieBinary(), join(node.binDir, "genie"));
    const containerId = await addBeforeBoot(node);
    await using agent = new RunningAgent(node, ...by, "--gc", "--no-cache");
    expect(await agent.said("gc: deleted")).toMatchObject({
      level: "info",
      attachment: `${containerId} eth0`,
    });
    expect(await node.remains()).toEqual(nothing);
  });

  test("what cannot be deleted is said and kept", async () => {
    await using scripted = await startScriptedNode();
    const { node, delegates } = scripted;
    symlinkSync(genieBinary(), join(node.binDir, "genie"));
    const containerId = await addBeforeBoot(node);
    delegates.behave(
      { type: "beta", verb: "DEL" },
      { stdout: { code: 42, msg: "no" }, exit: 1 },
    );
    await using agent = new RunningAgent(node, "--gc", "--no-cache");
    expect(await agent.said("gc: failed")).toMatchObject({
      level: "warn",
      attachment: expect.stringContaining(containerId) as string,
    });
  });

  test("without the installed genie, the part is said to fail, and the agent goes on", async () => {
    await using scripted = await startScriptedNode();
    await using agent = new RunningAgent(scripted.node, "--gc", "--no-cache");
    expect(
      await agent.said("a part failed and is started again"),
    ).toMatchObject({ part: "gc" });
    expect(await agent.end()).toBe(0);
  });
});

describe("whyNoHost", () => {
  const own = mountNamespace();
  test.each([
    ["the host itself", "/", { own, first: own }, undefined],
    ["the host, not seen", "/", { own, first: undefined }, undefined],
    ["a container with hostPID", "/host", { own, first: "1" }, undefined],
    [
      "a container without hostPID",
      "/host",
      { own, first: own },
      expect.stringContaining("hostPID") as string,
    ],
    [
      "no privilege",
      "/host",
      { own, first: undefined },
      expect.stringContaining("privileged") as string,
    ],
  ])("%s", (_what, root, namespaces, expected) => {
    const host = { path: "/opt/cni/bin/genie", root, namespaces };
    expect(whyNoHost(host)).toEqual(expected);
  });
});
