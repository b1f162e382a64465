/**
 * Time limits of the compiled executable: what hangs is killed with all that it
 * started, costs the others nothing, and is undone (state.md "Time").
 */
import { describe, expect, test } from "bun:test";
import { isRunning, summary, until } from "../support/delegate.ts";
import {
  type CallOptions,
  type Command,
  type Node,
  type Pod,
  nothing,
} from "../support/node.ts";
import { scriptedResult, startScriptedNode } from "../support/scripted-node.ts";

const three = { annotations: { cni: "alpha,beta,gamma" } };

/** So many seconds for one execution: enough for those that do not hang, also on a busy machine. */
const limited = (options: CallOptions = {}, seconds = 2): CallOptions => ({
  ...options,
  config: { ...options.config, delegateTimeout: seconds },
});

/** Far more than a limit, far less than the default one. */
const soonMs = 40_000;

/** The limit in a message. */
const late = (type: string, failed: string) =>
  `plugin "${type}" ${failed}: it did not end within its time limit and was killed`;

/** How it failed, and how many milliseconds that took. */
async function timedFailure(
  command: Command,
  pod: Pod | undefined,
  node: Node,
  options: CallOptions,
) {
  const start = performance.now();
  const failure = await node.fail(command, pod, options);
  return { failure, ms: performance.now() - start };
}

/** A killed process may take a moment to end on a busy machine. */
async function allEnded(pids: readonly number[], count: number): Promise<void> {
  expect(pids).toHaveLength(count);
  await until(() => !pids.some(isRunning), "the end of killed processes");
}

describe("ADD, a delegate hangs", () => {
  test("11 after its time; its whole group is killed; all is rolled back", async () => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    node.delegates.behave("ADD beta", { hang: true });
    const options = limited(three);
    const { failure, ms } = await timedFailure("ADD", pod, node, options);
    expect(failure).toEqual({
      cniVersion: "1.0.0",
      code: 11,
      msg: `[shop/web:beta] ${late("beta", "failed to add eth1")}`,
    });
    expect(ms).toBeGreaterThanOrEqual(2000);
    expect(ms).toBeLessThan(soonMs);
    const calls = node.delegates.calls();
    expect(calls.map(summary)).toEqual([
      "ADD alpha eth0",
      "ADD beta eth1",
      "DEL beta eth1",
      "DEL alpha eth0",
    ]);
    await allEnded([calls[1]?.pid ?? 0, ...node.delegates.left()], 2);
    expect(await node.remains()).toEqual(nothing);
  });
});

describe("ADD, a grandchild keeps stdout and stderr", () => {
  // The second has left the delegate's session, as a daemon does.
  test.each([
    ["in the delegate's session", ""],
    ["in a session of its own", "setsid "],
  ])("%s: delays nobody", async (_, session) => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    for (const verb of ["ADD", "DEL"]) {
      node.delegates.behave(`${verb} alpha`, {
        sh: `${session}sleep 600 & echo $! >>"$log/left"`,
        stderr: "words",
        stdout: verb === "ADD" ? scriptedResult(0) : {},
      });
    }
    const start = performance.now();
    // The runtime reads our stdout and stderr to their ends.
    const { exitCode, json, stderr } = await node.call("ADD", pod, {
      annotations: {},
    });
    expect({ exitCode, json, stderr }).toEqual({
      exitCode: 0,
      json: scriptedResult(0),
      stderr: "words",
    });
    await node.succeed("DEL", pod);
    expect(performance.now() - start).toBeLessThan(soonMs);
    expect(await node.remains()).toEqual(nothing);
  });
});

describe("DEL, a delegate hangs", () => {
  test("the others are deleted, a retry deletes only it", async () => {
    await using node = await startScriptedNode();
    const pod = await node.attach(three);
    node.delegates.behave("DEL beta", { hang: true });
    node.delegates.forget();
    const { failure, ms } = await timedFailure("DEL", pod, node, limited());
    expect(failure).toEqual({
      cniVersion: "1.0.0",
      code: 11,
      msg: `[shop/web:beta] ${late("beta", "failed to delete eth1")}`,
    });
    expect(ms).toBeLessThan(soonMs);
    expect(node.delegates.executed()).toEqual([
      "DEL gamma eth2",
      "DEL beta eth1",
      "DEL alpha eth0",
    ]);
    await allEnded(node.delegates.left(), 1);
    expect(recorded(node, pod)).toEqual(["beta-net eth1"]);
    node.delegates.behave("DEL beta", {});
    node.delegates.forget();
    await node.succeed("DEL", pod, limited());
    expect(node.delegates.executed()).toEqual(["DEL beta eth1"]);
    expect(await node.remains()).toEqual(nothing);
  });
});

const newest = "1.1.0";

describe("CHECK and GC, a delegate hangs", () => {
  const verbs: [Command, string][] = [
    ["CHECK", `[shop/web:beta] ${late("beta", "failed to check eth1")}`],
    ["GC", `[beta-net] ${late("beta", "failed to collect garbage")}`],
  ];
  test.each(verbs)("%s: 11", async (verb, msg) => {
    await using node = await startScriptedNode(newest);
    const pod = await node.pod();
    const config = { cniVersion: newest };
    await node.succeed("ADD", pod, { ...three, config });
    node.delegates.behave(`${verb} beta`, { hang: true });
    node.delegates.forget();
    const valid = [{ containerID: pod.containerId, ifname: "eth0" }];
    const options = limited({
      config: {
        ...config,
        ...(verb === "GC" && { "cni.dev/valid-attachments": valid }),
      },
    });
    expect(
      await node.fail(verb, verb === "GC" ? undefined : pod, options),
    ).toEqual({
      cniVersion: newest,
      code: 11,
      msg,
    });
    await allEnded(node.delegates.left(), 1);
    // The networks after it are not forgotten.
    if (verb === "GC")
      expect(node.delegates.executed().toSorted()).toEqual([
        "GC alpha",
        "GC beta",
        "GC gamma",
      ]);
    expect((await node.remains()).locks).toEqual([]);
  });
});

/** The attachments that are left in the record. */
function recorded(node: Node, pod: Pod): string[] {
  const { attachments } = node.record(pod) as {
    attachments: { ifname: string; list: { name: string } }[];
  };
  return attachments.map(({ ifname, list }) => `${list.name} ${ifname}`);
}
