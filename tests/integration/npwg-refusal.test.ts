/**
 * Requests for definitions that are refused: one error that says why, nothing
 * executed, nothing left (selection.md §2, §4, §6).
 */
import { describe, expect, test } from "bun:test";
import { unknownKindFault } from "../support/api-faults.ts";
import { type CallOptions, nothing } from "../support/node.ts";
import { Cluster, isDefinition, lan, networksKey } from "../support/cluster.ts";

/** The same network in several namespaces. */
async function startCluster(): Promise<Cluster> {
  const cluster = await Cluster.start();
  cluster.define("lan", lan(cluster.node));
  cluster.define("shared/lan", lan(cluster.node));
  cluster.define("default/lan", lan(cluster.node));
  cluster.define("kube-system/lan", lan(cluster.node));
  return cluster;
}

async function expectRefusal(
  cluster: Cluster,
  annotations: Record<string, unknown>,
  { code, msg }: { code: number; msg: string },
  options?: CallOptions,
): Promise<void> {
  const pod = await cluster.pod(annotations);
  expect(await cluster.refuse(pod, options)).toEqual({
    code,
    msg: expect.stringContaining(msg),
  });
  expect(await cluster.node.remains()).toEqual(nothing);
  expect(cluster.written()).toEqual({});
}

describe("definitions that cannot be used: error 7", () => {
  const cases: [string, object | string, string][] = [
    [
      "no JSON",
      "{",
      'network-attachment-definition "shop/bad": spec.config: unexpected end of JSON input',
    ],
    [
      "a plugin that is not there",
      { cniVersion: "1.0.0", type: "nowhere" },
      '[shop/web:bad] failed to find plugin "nowhere"',
    ],
    [
      "ourselves in delegates of delegates",
      {
        type: "multus",
        delegates: [
          { plugins: [{ type: "bridge", delegate: { type: "genie" } }] },
        ],
      },
      "would execute genie again",
    ],
  ];
  test.each(cases)("%s", async (_, config, msg) => {
    await using cluster = await startCluster();
    cluster.define("bad", config);
    await expectRefusal(
      cluster,
      { [networksKey]: "lan,bad" },
      { code: 7, msg },
    );
  });
});

describe("definitions that this node does not allow: error 7", () => {
  const ptp = { cniVersion: "1.0.0", type: "ptp" };
  const cases: [string, object | string, object, string][] = [
    [
      "a plugin as IPAM",
      { ...ptp, ipam: { type: "host-device" }, device: "eth0" },
      { allowedPlugins: ["ptp"] },
      'IPAM plugin "host-device" is not allowed on this node: allowedIpams has host-local, static, dhcp, whereabouts',
    ],
    [
      "1 MiB",
      { ...ptp, x: "x".repeat(1 << 20) },
      {},
      "spec.config: larger than 256 KiB",
    ],
  ];
  test.each(cases)("%s", async (_, definition, config, msg) => {
    await using cluster = await startCluster();
    cluster.define("weave-net", definition);
    const started = performance.now();
    await expectRefusal(
      cluster,
      { [networksKey]: "weave-net" },
      { code: 7, msg },
      { config: { ...config } },
    );
    expect(performance.now() - started).toBeLessThan(20_000);
  });
});

describe("annotations that cannot be met", () => {
  const cases: [string, Record<string, unknown>, object, number, string][] = [
    [
      "a missing definition",
      { [networksKey]: "lan,nowhere" },
      {},
      7,
      '"shop/nowhere"',
    ],
    [
      "a comma too many",
      { [networksKey]: "lan," },
      {},
      7,
      'failed to parse annotation "k8s.v1.cni.cncf.io/networks": element 2: empty element, perhaps a comma too many',
    ],
    [
      "33 networks in both annotations",
      { cni: "canal,weave", [networksKey]: Array(31).fill("lan").join(",") },
      {},
      7,
      "more than 32 networks are requested",
    ],
    [
      "the interface of the default network",
      { [networksKey]: "lan@eth0" },
      {},
      7,
      'repeated request for interface name "eth0", which the pod\'s primary network has: annotation "v1.multus-cni.io/default-network" replaces that network',
    ],
    [
      "isolation, another namespace",
      { [networksKey]: "lan,shared/lan" },
      { namespaceIsolation: true },
      7,
      'network-attachment-definition "shared/lan" is outside of the pod\'s namespace: namespaceIsolation allows default',
    ],
  ];
  test.each(cases)("%s", async (_, annotations, config, code, msg) => {
    await using cluster = await startCluster();
    await expectRefusal(
      cluster,
      annotations,
      { code, msg },
      { config: { ...config } },
    );
  });

  test("32 networks are allowed", async () => {
    await using cluster = await startCluster();
    cluster.node.plugin(
      "nothing",
      '#!/bin/sh\necho \'{"cniVersion":"1.0.0"}\'\n',
    );
    cluster.define("many", { cniVersion: "1.0.0", type: "nothing" });
    const pod = await cluster.attach(Array(31).fill("many").join(","));
    const { attachments } = cluster.node.record(pod);
    expect(attachments).toHaveLength(32);
    expect(cluster.requests()).toHaveLength(3);
    await cluster.del(pod);
    expect(await cluster.node.remains()).toEqual(nothing);
  });
});

describe("the API server does not give the definition: error 11", () => {
  test("the kind is not installed: error 7 that says so, asked once", async () => {
    await using cluster = await startCluster();
    cluster.api.inject({ ...unknownKindFault, match: isDefinition });
    await expectRefusal(
      cluster,
      { [networksKey]: "lan" },
      {
        code: 7,
        msg: 'failed to get network attachment definition "shop/lan": not found: the kind NetworkAttachmentDefinition is not installed',
      },
    );
    expect(cluster.api.requests.filter(isDefinition)).toHaveLength(1);
  });
});

test("the second of two definitions fails: the first and the primary are rolled back", async () => {
  await using cluster = await startCluster();
  cluster.node.plugin(
    "failing",
    `#!/bin/sh\necho '{"cniVersion":"1.0.0","code":42,"msg":"no carrier","details":"up0"}'\n[ $CNI_COMMAND = DEL ] || exit 1\n`,
  );
  cluster.define("failing", { cniVersion: "1.0.0", type: "failing" });
  const pod = await cluster.pod({ [networksKey]: "lan,failing,lan" });
  expect(await cluster.refuse(pod)).toEqual({
    code: 42,
    msg: '[shop/web:failing] plugin "failing" failed to add net2: no carrier',
    details: "up0",
  });
  expect(await cluster.node.remains()).toEqual(nothing);
  expect(cluster.written()).toEqual({});
});
