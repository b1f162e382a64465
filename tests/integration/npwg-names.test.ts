/**
 * Definitions that pods name in `k8s.v1.cni.cncf.io/networks` and
 * `v1.multus-cni.io/default-network`, attached by the compiled executable to
 * real networks, and what that costs (selection.md §2, §6, §7).
 */
import { describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { nothing } from "../support/node.ts";
import { attached } from "../support/scripted-node.ts";
import {
  Cluster,
  defaultKey,
  isDefinition,
  lan,
  networksKey,
} from "../support/cluster.ts";

/** Definitions of several namespaces, told apart by their subnets. */
async function startCluster(): Promise<Cluster> {
  const cluster = await Cluster.start();
  const ptp = (subnet: string) => ({
    cniVersion: "1.0.0",
    name: "ptp",
    type: "ptp",
    ipam: cluster.node.ipam(subnet),
  });
  cluster.define(
    "storage",
    lan(cluster.node, { ipam: cluster.node.ipam("10.31.0.0/24") }),
  );
  cluster.define("shared/storage", ptp("10.32.0.0/24"));
  cluster.define("backup", {
    cniVersion: "1.0.0",
    type: "macvlan",
    master: "up0",
    ipam: cluster.node.ipam("10.33.0.0/24"),
    // Ignored beside `type`, as by Multus.
    plugins: [{ type: "tuning" }],
  });
  cluster.define("kube-system/system", ptp("10.34.0.0/24"));
  // These are on the node: by its `name`, whatever the file is called.
  cluster.define("weave-net", "");
  cluster.define("tuned", {
    cniVersion: "0.4.0",
    plugins: [
      { type: "ptp", ipam: cluster.node.ipam("10.35.0.0/24") },
      { type: "tuning", mtu: 1400 },
    ],
  });
  return cluster;
}

const subnets: Record<string, string> = {
  "10.31.0": "shop/storage",
  "10.32.0": "shared/storage",
  "10.33.0": "backup",
  "10.34.0": "system",
  "10.35.0": "tuned",
};

/** Interface → network. */
async function networksOf(
  pod: Parameters<typeof attached>[0],
): Promise<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(await attached(pod)).map(([ifname, network]) => [
      ifname,
      subnets[network.split(".").slice(0, 3).join(".")] ?? network,
    ]),
  );
}

describe("ADD, CHECK, DEL", () => {
  const canal = { eth0: "canal" };
  const cases: [string, Record<string, unknown>, Record<string, string>][] = [
    [
      "JSON, a list",
      {
        [networksKey]: [
          { name: "backup" },
          { name: "storage", namespace: "shared", interface: "san0" },
        ],
      },
      { ...canal, net1: "backup", san0: "shared/storage" },
    ],
    [
      "a list of plugins without a name",
      { [networksKey]: "tuned" },
      { ...canal, net1: "tuned" },
    ],
    [
      "no spec.config: a network of the node",
      { [networksKey]: "weave-net" },
      { ...canal, net1: "weave" },
    ],
    [
      "with a list in cni",
      { cni: "weave,canal", [networksKey]: "storage,backup" },
      { eth0: "weave", eth1: "canal", net1: "shop/storage", net2: "backup" },
    ],
    [
      "with a blank cni",
      { cni: "", [networksKey]: "storage" },
      { ...canal, net1: "shop/storage" },
    ],
    ["default network, bare", { [defaultKey]: "system" }, { eth0: "system" }],
    [
      "default network, JSON",
      {
        [defaultKey]: [
          { name: "storage", namespace: "shop", interface: "eth0" },
        ],
      },
      { eth0: "shop/storage" },
    ],
    [
      "default network with networks",
      { [defaultKey]: "shop/tuned", [networksKey]: "storage" },
      { eth0: "tuned", net1: "shop/storage" },
    ],
    [
      "default network with a blank cni",
      { [defaultKey]: "system", cni: " " },
      { eth0: "system" },
    ],
  ];
  test.each(cases)("%s", async (_, annotations, expected) => {
    await using cluster = await startCluster();
    const pod = await cluster.pod(annotations);
    await cluster.add(pod);
    expect(await networksOf(pod)).toEqual(expected);
    await cluster.check(pod);
    await cluster.del(pod);
    expect(await cluster.node.remains()).toEqual(nothing);
  });
});

test("no spec.config, a network of multusConfDir; none where it is off", async () => {
  await using cluster = await startCluster();
  const { node } = cluster;
  const multusConfDir = join(node.directory, "multus");
  mkdirSync(multusConfDir);
  const network = { cniVersion: "1.0.0", name: "far", type: "bridge" };
  writeFileSync(join(multusConfDir, "far.conf"), JSON.stringify(network));
  cluster.define("far", "");
  const pod = await cluster.pod({ [networksKey]: "far" });
  expect(
    await cluster.refuse(pod, { config: { multusConfDir: "" } }),
  ).toMatchObject({
    code: 7,
    msg: expect.stringContaining(`no network of ${node.confDir} has its name`),
  });
  await cluster.add(pod, { config: { multusConfDir } });
  expect(Object.keys(await attached(pod))).toEqual(["eth0", "net1"]);
});

describe("after ADD the definitions are not asked for again", () => {
  test("deleted between ADD and DEL, the API server gone too", async () => {
    await using cluster = await startCluster();
    const pod = await cluster.attach("storage,backup");
    cluster.api.definitions.delete("shop", "storage");
    const asked = cluster.requests().length;
    const options = cluster.options();
    await cluster.node.succeed("CHECK", pod, options);
    expect(cluster.requests()).toHaveLength(asked);
    await cluster.api.stop();
    await cluster.node.succeed("DEL", pod, options);
    expect(await cluster.node.remains()).toEqual(nothing);
  });
});

describe("calls of the API server", () => {
  const cases: [string, Record<string, string>, string[]][] = [
    ["no annotation", {}, []],
    ["one network of cni", { cni: "weave" }, []],
    [
      "blank networks: the status only",
      { [networksKey]: "" },
      ["PATCH shop/pods/web/status"],
    ],
    [
      "each distinct definition once",
      {
        [networksKey]: "storage,shared/storage,shop/storage,storage",
        [defaultKey]: "shop/storage",
      },
      [
        "GET shop/network-attachment-definitions/storage",
        "GET shared/network-attachment-definitions/storage",
        "PATCH shop/pods/web/status",
      ],
    ],
  ];
  test.each(cases)(
    "%s, annotations of the runtime",
    async (_, annotations, expected) => {
      await using cluster = await startCluster();
      const pod = await cluster.pod(annotations);
      await cluster.add(pod, { annotations });
      expect(cluster.requests().toSorted()).toEqual(expected.toSorted());
      await cluster.check(pod);
      await cluster.del(pod, { annotations });
      expect(cluster.requests()).toHaveLength(expected.length);
    },
  );

  test("annotations of the API server: one GET more", async () => {
    await using cluster = await startCluster();
    await cluster.attach("storage");
    expect(cluster.requests()).toEqual([
      "GET shop/pods/web",
      "GET shop/network-attachment-definitions/storage",
      "PATCH shop/pods/web/status",
    ]);
  });

  test("definitions are fetched at once: none waits for another", async () => {
    await using cluster = await startCluster();
    const { api } = cluster;
    const three = Promise.withResolvers<void>();
    const got = () => api.requests.filter(isDefinition);
    // Each is held back until all have come; a second try would come alone.
    api.inject({
      kind: "delay",
      ms: 500,
      times: 3,
      match(request) {
        if (!isDefinition(request)) return false;
        if (got().filter(({ status }) => status === undefined).length === 3)
          three.resolve();
        return true;
      },
    });
    const attaching = cluster.attach("storage,backup,tuned");
    await three.promise;
    await attaching;
    expect(got().map(({ status }) => status)).toEqual([200, 200, 200]);
  });
});
