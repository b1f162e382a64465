/** Automatic choice (selection.md §10), by the compiled executable on real networks. */
import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { loadPath } from "../../lib/attach/choice/automatic.ts";
import { uptimeMs } from "../../lib/linux/libc.ts";
import { startApiServer } from "../support/api-server.ts";
import {
  Cluster,
  defaultKey,
  isDefinition,
  lan,
  networksKey,
} from "../support/cluster.ts";
import { until } from "../support/delegate.ts";
import { smallDisk } from "../support/disk.ts";
import type { Node, Pod } from "../support/node.ts";
import { startPlugin } from "../support/runtime.ts";
import {
  attached,
  startNode,
  startScriptedNode,
} from "../support/scripted-node.ts";

const annotations = { cni: "" };
const automatic = { networks: ["weave", "canal"] };
const byTraffic = { ...automatic, by: "traffic" };

const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();

/** The network of eth0 of a new pod. */
async function chosen(
  node: Node,
  config: Record<string, unknown>,
): Promise<string | undefined> {
  const pod = await node.attach({ annotations, config });
  return (await attached(pod))["eth0"];
}

async function sample(
  node: Node,
  bytesPerSecond: unknown,
  more: object = {},
): Promise<void> {
  const load = { bootId, uptimeMs: uptimeMs(), bytesPerSecond, ...more };
  writeFileSync(loadPath(node.dataDir), JSON.stringify(load), { mode: 0o600 });
}

describe("by attachments", () => {
  test("30 pods at once: 15 of each network, also after some are deleted", async () => {
    await using node = await startNode();
    // Without firewall rules and bridge: the cheapest real networks.
    for (const [file, name, subnet] of [
      ["10-canal.conflist", "canal-net", "10.66.0.0/24"],
      ["20-weave.conf", "weave-net", "10.67.0.0/24"],
    ] as const) {
      const plugin = { type: "ptp", ipam: node.ipam(subnet) };
      const list = file.endsWith("list") ? { plugins: [plugin] } : plugin;
      node.network(file, { cniVersion: "1.0.0", name, ...list });
    }
    const pods = await Promise.all(
      Array.from({ length: 30 }, () => node.pod()),
    );
    const call = { annotations, config: { automatic } };
    const networks = new Map<Pod, string>();
    const add = async (pod: Pod) => {
      const result = await node.succeed("ADD", pod, call);
      const { ips } = result as { ips: { address: string }[] };
      const isCanal = ips[0]?.address.startsWith("10.66.0.") === true;
      networks.set(pod, isCanal ? "canal" : "weave");
    };
    const podsOf = (network: string) =>
      pods.filter((pod) => networks.get(pod) === network);
    const counts = () => [podsOf("canal").length, podsOf("weave").length];
    await Promise.all(pods.map(add));
    expect(counts()).toEqual([15, 15]);
    const some = podsOf("canal").slice(0, 4);
    await Promise.all(some.map((pod) => node.succeed("DEL", pod, call)));
    await Promise.all(some.map(add));
    expect(counts()).toEqual([15, 15]);
  }, 60_000);

  test("the first of the list for equal counts; a namespace that is gone is not counted", async () => {
    await using node = await startNode();
    const config = { automatic };
    expect(await chosen(node, config)).toBe("weave");
    const pod = await node.attach({ annotations: { cni: "canal" } });
    await pod.netns.remove();
    // A record that cannot be read is no reason to fail.
    const torn = { ...pod, containerId: "torn" };
    writeFileSync(node.recordPath(torn), '{"attachments":');
    expect(await chosen(node, config)).toBe("canal");
  });

  test("a choice that lasts keeps no other pod waiting", async () => {
    await using node = await startScriptedNode();
    const config = { automatic: { networks: ["alpha"] } };
    const pod = await node.pod();
    const call = { annotations, config };
    await node.succeed("ADD", pod, call);
    // The left-over is deleted before the record of the next ADD is written.
    node.delegates.behave("DEL alpha", { hang: true });
    const genie = startPlugin(node.request("ADD", pod, call));
    await until(() => node.delegates.left().length > 0, "the plugin");
    const other = await node.pod();
    const started = performance.now();
    await node.succeed("ADD", other, { annotations: { cni: "beta" } });
    await node.succeed("DEL", other);
    expect(performance.now() - started).toBeLessThan(40_000);
    genie.kill("SIGKILL");
    await genie.exited;
  });

  test("a read-only disk: error 5 at once", async () => {
    await using node = await startScriptedNode();
    await using disk = await smallDisk(node.dataDir);
    await node.succeed("ADD", await node.pod(), { annotations });
    node.delegates.forget();
    await disk.makeReadOnly();
    const config = { automatic: { networks: ["alpha"] } };
    const started = performance.now();
    expect(
      await node.fail("ADD", await node.pod(), { annotations, config }),
    ).toMatchObject({ code: 5 });
    expect(performance.now() - started).toBeLessThan(40_000);
    expect(node.delegates.calls()).toEqual([]);
  });

  test("networks whose plugins are missing are passed over; none is left: error 7", async () => {
    await using node = await startScriptedNode();
    node.network("40-torn.conf", { cniVersion: "1.0.0", name: "t", type: "t" });
    const networks = ["torn", "nowhere", "gamma"];
    await node.succeed("ADD", await node.pod(), {
      annotations,
      config: { automatic: { networks } },
    });
    expect(node.delegates.executed()).toEqual(["ADD gamma eth0"]);
    const failure = await node.fail("ADD", await node.pod(), {
      annotations,
      config: { automatic: { networks: ["torn", "nowhere"] } },
    });
    expect(failure).toMatchObject({
      code: 7,
      msg: expect.stringMatching(
        /^configuration key "automatic": no network of it can be used: failed to find plugin "t" in path .*, no network "nowhere" in /,
      ),
    });
  });

  test.each<[string, Record<string, string>, string]>([
    ["cni is absent", {}, "gamma"],
    ["default by name", { cni: "default" }, "gamma"],
    ["default in the list", annotations, "default"],
  ])("%s: the default network", async (_, others, first) => {
    await using node = await startScriptedNode();
    await node.succeed("ADD", await node.pod(), {
      annotations: others,
      config: { automatic: { networks: [first, "beta"] } },
    });
    expect(node.delegates.executed()).toEqual(["ADD alpha eth0"]);
  });

  test("default in the list, the log says so, and the record has its file key", async () => {
    await using node = await startScriptedNode();
    const pod = await node.attach({
      annotations,
      config: { automatic: { networks: ["default", "beta"] } },
    });
    expect(node.log()).toContain(
      String.raw`"rule":"annotation \"cni\" is blank: automatic choice by attachments (default 0, beta 0) gives \"default\""`,
    );
    expect(node.record(pod)["attachments"]).toMatchObject([
      { requested: "alpha", origin: "automatic" },
    ]);
  });

  test("the choice is in network-status, the record and the log", async () => {
    await using api = await startApiServer();
    await using node = await startScriptedNode();
    const pod = await node.pod();
    api.pods.put({
      metadata: { name: pod.name, namespace: pod.namespace, uid: pod.uid },
    });
    await node.succeed("ADD", pod, {
      annotations,
      config: {
        automatic: { networks: ["beta", "alpha"] },
        kubernetes: { kubeconfig: api.kubeconfig() },
      },
    });
    const { metadata } = api.pods.get(pod.namespace, pod.name) ?? {};
    const status = metadata?.annotations?.["k8s.v1.cni.cncf.io/network-status"];
    expect(JSON.parse(status ?? "[]")).toMatchObject([
      { name: "beta-net", interface: "eth0", default: true },
    ]);
    expect(node.record(pod)["attachments"]).toMatchObject([
      { requested: "beta", origin: "automatic" },
    ]);
    expect(node.log()).toContain(
      String.raw`"rule":"annotation \"cni\" is blank: automatic choice by attachments (beta 0, alpha 0) gives \"beta\": file key of \"20-beta.conf\""`,
    );
  });
});

test("definitions are added, and their replacement of the default network wins", async () => {
  await using cluster = await Cluster.start();
  const { node } = cluster;
  cluster.define("storage", lan(node));
  const config = { automatic };
  const added = await cluster.pod({ cni: "", [networksKey]: "storage" });
  await cluster.add(added, { config });
  expect(await attached(added)).toEqual({
    eth0: "weave",
    net1: expect.stringMatching(/^10\.30\.0\./),
  });
  const replaced = await cluster.pod({ cni: "", [defaultKey]: "shop/storage" });
  await cluster.add(replaced, { config });
  expect(await attached(replaced)).toEqual({
    eth0: expect.stringMatching(/^10\.30\.0\./),
  });
});

test("a pod that waits for the API server keeps no other pod waiting", async () => {
  await using cluster = await Cluster.start();
  const { node, api } = cluster;
  const { promise, resolve } = Promise.withResolvers<void>();
  api.inject({
    kind: "stall",
    match: isDefinition,
    times: Infinity,
    reached: resolve,
  });
  const ended: string[] = [];
  const slow = await cluster.pod({ cni: "", [networksKey]: "storage" });
  const config = { automatic, apiTimeout: 2 };
  const waiting = cluster
    .refuse(slow, { config })
    .then(({ code }) => ended.push(`waited: error ${code}`));
  await promise;
  ended.push(String(await chosen(node, { automatic })));
  await waiting;
  expect(ended).toEqual(["weave", "waited: error 11"]);
});

describe("by traffic", () => {
  test("the network with less, whatever the counts; a network without a sample has none", async () => {
    await using node = await startNode();
    const config = { automatic: byTraffic };
    await chosen(node, config);
    for (const rates of [
      { "canal-net": 10, "weave-net": 1e9 },
      { "weave-net": 1 },
    ]) {
      await sample(node, rates);
      expect(await chosen(node, config)).toBe("canal");
      expect(await chosen(node, config)).toBe("canal");
    }
    await sample(node, { "canal-net": 11, "weave-net": 10.5 });
    expect(await chosen(node, config)).toBe("weave");
  });

  test.each<[string, (node: Node) => unknown]>([
    ["no sample", () => undefined],
    [
      "one of 61 seconds ago",
      (node) =>
        sample(node, { "canal-net": 9 }, { uptimeMs: uptimeMs() - 61_000 }),
    ],
    [
      "one of another boot",
      (node) => sample(node, { "canal-net": 9 }, { bootId: "other" }),
    ],
    [
      "a torn one",
      (node) =>
        writeFileSync(loadPath(node.dataDir), '{"bootId', { mode: 0o600 }),
    ],
  ])("%s: by attachments", async (_, prepare) => {
    await using node = await startNode();
    await node.succeed("ADD", await node.pod(), {
      annotations: { cni: "weave" },
    });
    await prepare(node);
    expect(await chosen(node, { automatic: byTraffic })).toBe("canal");
  });
});
