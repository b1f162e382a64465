/**
 * Upgrade from genie 0.1.0 and roll back to it, with pods alive and with pods that come
 * and go (state.md "The record", docs/upgrade.md). `make upgrade` runs it.
 */
import { beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { genieBinary } from "../support/build.ts";
import {
  type CallOptions,
  type Command,
  type Failure,
  type Node,
  type Pod,
  directoryOptions,
  nothing,
} from "../support/node.ts";
import { type Answer, callPlugin } from "../support/runtime.ts";
import { attached, startNode } from "../support/scripted-node.ts";
import { run } from "../../scripts/run.ts";
import { releasedGenie } from "./released.ts";
import { kubeconfigJson } from "../support/kubeconfig.ts";

const buildMs = 300_000;
let released: string;
let present: string;
beforeAll(async () => {
  released = await releasedGenie();
  present = genieBinary();
}, buildMs);

const one = { annotations: { cni: "canal" } };
const several = { annotations: { cni: "canal,weave" } };
/** Two attachments with one configuration. */
const shared = { annotations: { cni: "canal,layer2,layer2" } };

function callBy(
  binary: string,
  node: Node,
  command: Command,
  pod: Pod | undefined,
  options: CallOptions = {},
): Promise<Answer> {
  return callPlugin({ ...node.request(command, pod, options), binary });
}

/** Throws Error with the output of a call that fails. */
async function succeed(...call: Parameters<typeof callBy>): Promise<unknown> {
  const { exitCode, stdout, stderr, json } = await callBy(...call);
  if (exitCode === 0) return json;
  throw new Error(`${call[2]}: exit code ${exitCode}: ${stdout}${stderr}`);
}

/** As an operator does. The runtime passes annotations: no API server is asked. */
async function install(binary: string, node: Node): Promise<void> {
  const kubeconfig = join(node.directory, "kubeconfig");
  writeFileSync(
    kubeconfig,
    kubeconfigJson({ server: "https://127.0.0.1:1" }, { token: "t" }),
  );
  await run([
    binary,
    "install",
    `--kubeconfig=${kubeconfig}`,
    ...directoryOptions(node),
  ]);
}

describe.each([
  ["upgrade", () => [released, present] as const],
  ["roll back", () => [present, released] as const],
])("%s, pods that the other genie attached", (_, binaries) => {
  test.each([
    ["one network", one, { eth0: "canal" }],
    ["several networks", several, { eth0: "canal", eth1: "weave" }],
  ])(
    "%s: CHECK and GC keep them, DEL leaves nothing",
    async (__, options, expected) => {
      const [before, after] = binaries();
      await using node = await startNode();
      const pod = await node.pod();
      const prevResult = await succeed(before, node, "ADD", pod, options);
      expect(node.record(pod)["formatVersion"]).toBe(1);
      const config = { prevResult };
      await succeed(after, node, "CHECK", pod, { ...options, config });
      node.attachedEarlier([pod]);
      const valid = [{ containerID: pod.containerId, ifname: "eth0" }];
      await succeed(after, node, "GC", undefined, {
        config: { cniVersion: "1.1.0", "cni.dev/valid-attachments": valid },
      });
      expect(await attached(pod)).toEqual(expected);
      await succeed(after, node, "DEL", pod, options);
      expect(await node.remains()).toEqual(nothing);
    },
  );

  test("a pod that is gone: GC deletes it", async () => {
    const [before, after] = binaries();
    await using node = await startNode();
    const pod = await node.pod();
    await succeed(before, node, "ADD", pod, several);
    node.attachedEarlier([pod]);
    await succeed(after, node, "GC", undefined, {
      config: { cniVersion: "1.1.0", "cni.dev/valid-attachments": [] },
    });
    expect(await node.remains()).toEqual(nothing);
  });

  test("a left-over record: ADD deletes it and attaches", async () => {
    const [before, after] = binaries();
    await using node = await startNode();
    const pod = await node.pod();
    await succeed(before, node, "ADD", pod, several);
    await succeed(after, node, "ADD", pod, one);
    expect(await attached(pod)).toEqual({ eth0: "canal" });
    await succeed(after, node, "DEL", pod);
    expect(await node.remains()).toEqual(nothing);
  });
});

test("a pod of 0.1.0: a network comes and goes by hand; after a roll back DEL finds what came", async () => {
  await using node = await startNode();
  node.network("00-genie.conflist", {
    cniVersion: "1.0.0",
    name: "genie-net",
    plugins: [node.config()],
  });
  const pod = await node.pod();
  await succeed(released, node, "ADD", pod, one);
  const change = (...words: string[]) => {
    const { exitCode, stderr } = node.command(...(words as [string]));
    expect([exitCode, stderr]).toEqual([0, ""]);
  };
  change("attach", "shop/web", "canal");
  expect(await attached(pod)).toEqual({ eth0: "canal" });
  change("attach", "shop/web", "weave");
  change("detach", "shop/web", "eth1");
  change("attach", "shop/web", "weave@net7");
  expect(await attached(pod)).toEqual({ eth0: "canal", net7: "weave" });
  await succeed(released, node, "DEL", pod);
  expect(await node.remains()).toEqual(nothing);
});

describe("a record of format 2", () => {
  async function startNodeOfShared(): Promise<Node> {
    const node = await startNode();
    node.network("30-layer2.conflist", {
      cniVersion: "1.0.0",
      name: "layer2",
      plugins: [{ type: "bridge", bridge: "br1" }],
    });
    return node;
  }

  test("0.1.0: error 11, the file is as it was; this genie deletes the pod", async () => {
    await using node = await startNodeOfShared();
    const pod = await node.pod();
    await succeed(present, node, "ADD", pod, shared);
    const text = readFileSync(node.recordPath(pod), "utf8");
    expect(node.record(pod)["formatVersion"]).toBe(2);
    for (const command of ["CHECK", "DEL"] as const) {
      const answer = await callBy(released, node, command, pod, shared);
      const { code, msg } = answer.json as Failure;
      expect([command, answer.exitCode, code]).toEqual([command, 1, 11]);
      expect(msg).toContain("newer");
    }
    // It tells of the record, or not: it must leave it alone.
    await callBy(released, node, "GC", undefined, {
      config: { cniVersion: "1.1.0", "cni.dev/valid-attachments": [] },
    });
    expect(readFileSync(node.recordPath(pod), "utf8")).toBe(text);
    await succeed(present, node, "DEL", pod, shared);
    expect(await node.remains()).toEqual(nothing);
  });

  test("uninstall lists it as a record that 0.1.0 does not read, and 0.1.0's records as ordinary", async () => {
    await using node = await startNodeOfShared();
    await install(present, node);
    const [old, newer] = [await node.pod("old"), await node.pod("newer")];
    await succeed(released, node, "ADD", old, several);
    await succeed(present, node, "ADD", newer, shared);
    const refused = node.command("uninstall");
    expect(refused.exitCode).toBe(1);
    const lineOf = (name: string) =>
      refused.stderr.split("\n").find((line) => line.includes(`shop/${name}`));
    expect(lineOf("newer")).toContain("0.1.0");
    expect(lineOf("old")).not.toContain("0.1.0");
    for (const pod of [old, newer]) await succeed(present, node, "DEL", pod);
    expect(await node.remains()).toEqual(nothing);
    expect(node.command("uninstall").exitCode).toBe(0);
  });
});

describe("under load", () => {
  const pods = 24;

  test(
    `old, new, old, … while ${pods} pods come and go: no call fails, nothing is left`,
    async () => {
      await using node = await startNode();
      const installed = join(node.binDir, "genie");
      await install(released, node);
      const state = { loaded: true };
      let replaced = 0;
      const replacing = async () => {
        while (state.loaded) {
          await install(replaced % 2 === 0 ? present : released, node);
          replaced++;
        }
      };
      const loading = async () => {
        try {
          const all = await Promise.all(
            Array.from({ length: pods }, (_, i) => node.pod(`pod-${i}`)),
          );
          await inTurn(all, (pod) =>
            succeed(installed, node, "ADD", pod, several),
          );
          await inTurn(all, (pod) =>
            succeed(installed, node, "DEL", pod, several),
          );
        } finally {
          state.loaded = false;
        }
      };
      await Promise.all([replacing(), loading()]);
      expect(replaced).toBeGreaterThan(1);
      expect(await node.remains()).toEqual(nothing);
    },
    buildMs,
  );

  /** Four at a time, as many as a busy kubelet starts. */
  async function inTurn(
    all: readonly Pod[],
    call: (pod: Pod) => Promise<unknown>,
  ): Promise<void> {
    const queue = [...all];
    const worker = async () => {
      for (let pod = queue.shift(); pod; pod = queue.shift()) await call(pod);
    };
    await Promise.all(Array.from({ length: 4 }, worker));
  }
});
