/**
 * genie is killed by the machine: in the middle of a delegate, before and while
 * it writes its record. Whoever comes next ends what it left running and leaves
 * nothing (state.md "Processes and locks"), also when the disk is full.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { startApiServer } from "../support/api-server.ts";
import { removeCerts } from "../support/certs.ts";
import { DelegateDouble, isRunning, until } from "../support/delegate.ts";
import { smallDisk } from "../support/disk.ts";
import {
  type CallOptions,
  type Node,
  type Pod,
  gcOfNone,
  nothing,
} from "../support/node.ts";
import { startPlugin } from "../support/runtime.ts";
import { keptKubeconfig, startNode, waits } from "../support/scripted-node.ts";

afterAll(removeCerts);

const mixed: CallOptions = { annotations: { cni: "mixed" } };

/** A bridge, then a plugin that takes as long as the test wants. */
async function startSlowNode() {
  const node = await startNode();
  const delegates = new DelegateDouble("slow");
  node.path.push(delegates.bin);
  node.network("30-mixed.conflist", {
    cniVersion: "1.0.0",
    name: "mixed-net",
    plugins: [
      { type: "bridge", bridge: "br0", ipam: node.ipam("10.66.0.0/24") },
      { type: "slow" },
    ],
  });
  const disk = await smallDisk(node.dataDir);
  return {
    node,
    delegates,
    disk,
    pod: await node.pod(),
    async [Symbol.asyncDispose]() {
      delegates[Symbol.dispose]();
      await disk[Symbol.asyncDispose]();
      await node[Symbol.asyncDispose]();
    },
  };
}

/** Kills genie in the slow plugin; the processes that are left of it. */
async function killedIn(
  command: "ADD" | "DEL",
  pod: Pod,
  node: Node,
  delegates: DelegateDouble,
): Promise<number[]> {
  delegates.behave(`${command} slow`, { hang: true });
  const genie = startPlugin(node.request(command, pod, mixed));
  await until(() => delegates.left().length > 0, "the slow plugin");
  genie.kill("SIGKILL");
  await genie.exited;
  delegates.behave(`${command} slow`, {});
  const [plugin] = delegates.calls().slice(-1);
  return [plugin?.pid ?? 0, ...delegates.left()];
}

describe.each([
  ["a disk with space", false],
  ["a full disk", true],
])("genie killed in a delegate, %s", (_, isFull) => {
  test("in ADD: DEL at once ends the orphan, nothing is left", async () => {
    await using slow = await startSlowNode();
    const { node, delegates, disk, pod } = slow;
    const orphans = await killedIn("ADD", pod, node, delegates);
    expect(orphans.map(isRunning)).toEqual([true, true]);
    expect((await node.remains()).interfaces).toEqual(["web:eth0"]);
    if (isFull) disk.fill();
    await node.succeed("DEL", pod, mixed);
    expect(orphans.map(isRunning)).toEqual([false, false]);
    expect(delegates.executed()).toEqual(["ADD slow eth0", "DEL slow eth0"]);
    expect(await node.remains()).toEqual(nothing);
  });

  test("in DEL: the next one ends the orphan and deletes all", async () => {
    await using slow = await startSlowNode();
    const { node, delegates, disk, pod } = slow;
    await node.succeed("ADD", pod, mixed);
    if (isFull) disk.fill();
    const orphans = await killedIn("DEL", pod, node, delegates);
    expect(orphans.map(isRunning)).toEqual([true, true]);
    await node.succeed("DEL", pod, mixed);
    expect(orphans.map(isRunning)).toEqual([false, false]);
    expect(delegates.executed()).toEqual([
      "ADD slow eth0",
      "DEL slow eth0",
      "DEL slow eth0",
    ]);
    expect(await node.remains()).toEqual(nothing);
  });

  test("in ADD, and the namespace goes: GC does the same", async () => {
    await using slow = await startSlowNode();
    const { node, delegates, disk, pod } = slow;
    const orphans = await killedIn("ADD", pod, node, delegates);
    node.attachedEarlier([pod]);
    await pod.netns.remove();
    if (isFull) disk.fill();
    await clean.GC(node);
    expect(orphans.map(isRunning)).toEqual([false, false]);
    expect(await node.remains()).toEqual(nothing);
  });

  test("it lives: the next one waits, its delegate goes on", async () => {
    await using slow = await startSlowNode();
    const { node, delegates, disk, pod } = slow;
    await node.succeed("ADD", pod, mixed);
    if (isFull) disk.fill();
    const gate = join(node.directory, "gate");
    delegates.behave("DEL slow", {
      sh: `while [ ! -e '${gate}' ]; do sleep 0.01; done`,
    });
    delegates.forget();
    const first = startPlugin(node.request("DEL", pod, mixed));
    await until(() => delegates.events().length > 0, "the first DEL");
    // For it there is no record any more, and the default network is another one.
    const second = startPlugin(node.request("DEL", pod, { annotations: {} }));
    await until(() => waits(second.pid), "the second DEL at the lock");
    await Bun.write(gate, "");
    expect([await first.exited, await second.exited]).toEqual([0, 0]);
    expect(delegates.events()).toEqual([
      "start slow DEL eth0",
      "end slow DEL eth0",
    ]);
    expect(await node.remains()).toEqual(nothing);
  });
});

/** The two ways in which an interrupted call is cleaned up without DEL. */
const clean = {
  GC: (node: Node) => node.succeed("GC", undefined, { config: gcOfNone }),
  "genie gc": async (node: Node) => expect(node.command("gc").exitCode).toBe(0),
} as const;

describe.each(["GC", "genie gc"] as const)(
  "genie killed before it executed anything, then %s",
  (by) => {
    test("while it asked the API server: its lock goes", async () => {
      await using api = await startApiServer();
      await using node = await startNode();
      const pod = await node.pod();
      const { promise, resolve } = Promise.withResolvers<void>();
      api.inject({ kind: "stall", reached: resolve });
      const kubernetes = { kubeconfig: keptKubeconfig(node, api) };
      const add = startPlugin(
        node.request("ADD", pod, { config: { kubernetes } }),
      );
      await promise;
      await until(() => lockOf(pod, node) !== "", "the lock");
      add.kill("SIGKILL");
      await add.exited;
      expect(await node.remains()).toEqual({
        ...nothing,
        locks: [pod.containerId],
      });
      await clean[by](node);
      expect(await node.remains()).toEqual(nothing);
    });
  },
);

test("genie gc, an ADD that works keeps its lock and its record", async () => {
  await using slow = await startSlowNode();
  const { node, delegates, pod } = slow;
  const gate = join(node.directory, "gate");
  delegates.behave("ADD slow", {
    sh: `while [ ! -e '${gate}' ]; do sleep 0.01; done`,
    stdout: prevResult,
  });
  const add = startPlugin(node.request("ADD", pod, mixed));
  await until(() => delegates.events().length > 0, "the slow plugin");
  const before = await node.remains();
  expect(node.command("gc", "--grace", "0")).toMatchObject({
    exitCode: 0,
    stdout: "0 deleted, 0 waiting, 0 failed\n",
  });
  expect(await node.remains()).toEqual(before);
  await Bun.write(gate, "");
  expect(await add.exited).toBe(0);
  await node.succeed("DEL", pod, mixed);
  expect(await node.remains()).toEqual(nothing);
});

/** The prevResult that the slow plugin hands on. */
const prevResult = {
  cniVersion: "1.0.0",
  ips: [{ address: "10.66.0.2/24", gateway: "10.66.0.1" }],
};

/** The content of a pod's lock file, "" for none. */
function lockOf({ containerId }: Pod, { dataDir }: Node): string {
  try {
    return readFileSync(join(dataDir, "locks", containerId), "utf8");
  } catch {
    return "";
  }
}
