/**
 * `--gc`, by the compiled executable: the agent executes the installed genie in the mount
 * namespace of process 1 (agent.md).
 */
import { describe, expect, test } from "bun:test";
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { gcEvery } from "../../lib/agent/pods/periodic-gc.ts";
import type { Agent } from "../../lib/agent/part.ts";
import { whyNoHost } from "../../lib/agent/host-genie.ts";
import { mountNamespace } from "../../lib/linux/netns.ts";
import { RunningAgent } from "../support/agent.ts";
import { genieBinary } from "../support/build.ts";
import { type Node, nothing } from "../support/node.ts";
import { startScriptedNode } from "../support/scripted-node.ts";
import { failing } from "../support/delegate.ts";

/** As if the machine had been started again since the pod's ADD. */
async function addBeforeBoot(node: Node): Promise<string> {
  const pod = await node.attach({ annotations: { cni: "alpha,beta" } });
  node.changeRecord(pod, { bootId: crypto.randomUUID() });
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
    await using node = await startScriptedNode();
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
    await using node = await startScriptedNode();
    symlinkSync(genieBinary(), join(node.binDir, "genie"));
    const containerId = await addBeforeBoot(node);
    node.delegates.behave("DEL beta", failing());
    await using agent = new RunningAgent(node, "--gc", "--no-cache");
    expect(await agent.said("gc: failed")).toMatchObject({
      level: "warn",
      attachment: expect.stringContaining(containerId) as string,
    });
  });

  test("without the installed genie, the part is said to fail, and the agent goes on", async () => {
    await using node = await startScriptedNode();
    await using agent = new RunningAgent(node, "--gc", "--no-cache");
    expect(
      await agent.said("a part failed and is started again"),
    ).toMatchObject({ part: "gc" });
    expect(await agent.end()).toBe(0);
  });
});

describe("abandoned attachments", () => {
  /** The arguments of each run, with what they print in turn; the last one again and again. */
  async function runs(count: number, ...outputs: string[]) {
    const controller = new AbortController();
    const args: string[][] = [];
    const said: string[] = [];
    const agent = {
      log: (level: string, message: string) =>
        void said.push(`${level} ${message}`),
      genie(words: readonly string[]) {
        args.push([...words]);
        if (args.length === count) controller.abort();
        const stdout = outputs[args.length - 1] ?? outputs.at(-1) ?? "";
        return Promise.resolve({ code: 0, stdout, stderr: "" });
      },
    } as unknown as Agent;
    await gcEvery(2).run(agent, controller.signal);
    const retries = args.filter((words) => words.length === 1).length;
    return { args, said, retries };
  }

  const none = "0 deleted, 0 waiting, 0 failed\n";
  const left = `still abandoned c1: no\n0 deleted, 0 waiting, 0 failed, 1 abandoned\n`;

  test("none, every run would try them", async () => {
    expect((await runs(10, none)).retries).toBe(10);
  });

  test("one that stays, is tried with growing pauses", async () => {
    const { args, retries } = await runs(40, left);
    expect(args[0]).toEqual(["gc"]);
    expect(args).toContainEqual(["gc", "--skip-abandoned"]);
    expect(retries).toBeWithin(3, 9);
  });

  test("a line for each thing done", async () => {
    const { said } = await runs(
      1,
      `deleted c1 eth0\nabandoned c2 eth0\nstill abandoned c3: no\nfailed c4: no\n${none}`,
    );
    expect(said).toEqual([
      "info gc: deleted",
      "warn gc: abandoned",
      "debug gc: still abandoned",
      "warn gc: failed",
    ]);
  });

  test("genie refuses, the part fails with its words", () => {
    const agent = {
      genie: () => Promise.resolve({ code: 1, stdout: "", stderr: "no\n" }),
    } as unknown as Agent;
    const { signal } = new AbortController();
    expect(gcEvery(1).run(agent, signal)).rejects.toThrow("no");
  });

  test("genie gc --skip-abandoned, does not try them", async () => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    for (const verb of ["ADD", "DEL"])
      node.delegates.behave(`${verb} beta`, failing());
    const two = { annotations: { cni: "alpha,beta" } };
    await node.fail("ADD", pod, two);
    await node.succeed("DEL", pod, two);
    node.delegates.forget();
    expect(node.command("gc", "--skip-abandoned").exitCode).toBe(0);
    expect(node.delegates.calls()).toEqual([]);
    expect(node.command("gc").stdout).toContain("still abandoned");
    expect(node.delegates.calls()).toHaveLength(1);
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
