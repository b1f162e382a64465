/**
 * Pods attached to real networks by the compiled executable: a bridge with
 * host-local addresses and port mappings, and a point-to-point network. What
 * ADD promises is looked for in the pod, and after DEL it must be gone.
 */
import { describe, expect, test } from "bun:test";
import { supportedVersions } from "../../lib/cni/version.ts";
import { type CallOptions, nothing } from "../support/node.ts";
import {
  type Attached,
  attached,
  startNode,
} from "../support/scripted-node.ts";

const choices: [string, CallOptions, Attached][] = [
  ["cni: canal", { annotations: { cni: "canal" } }, { eth0: "canal" }],
  ["cni: weave", { annotations: { cni: "weave" } }, { eth0: "weave" }],
  [
    "two networks",
    { annotations: { cni: "canal,weave" } },
    { eth0: "canal", eth1: "weave" },
  ],
  [
    "an interface name",
    { annotations: { cni: "canal,weave@net7" } },
    { eth0: "canal", net7: "weave" },
  ],
  [
    "the same network twice",
    { annotations: { cni: "canal,canal" } },
    { eth0: "canal", eth1: "canal" },
  ],
  ["no annotation", { annotations: {} }, { eth0: "canal" }],
  [
    "default_plugin",
    { annotations: {}, config: { default_plugin: "weave" } },
    { eth0: "weave" },
  ],
];

describe("ADD, CHECK, DEL", () => {
  test.each(choices)("%s", async (_, options, expected) => {
    await using node = await startNode();
    const pod = await node.attach(options);
    expect(await attached(pod)).toEqual(expected);
    expect(await node.succeed("CHECK", pod, options)).toBeUndefined();
    expect(await node.succeed("DEL", pod, options)).toBeUndefined();
    expect(await node.remains()).toEqual(nothing);
  });
});

test("ADD, the result is the primary's", async () => {
  await using node = await startNode();
  const pod = await node.pod();
  const result = await node.succeed("ADD", pod, {
    annotations: { cni: "weave@net1,canal" },
  });
  const [eth0, net1] = await pod.netns.links();
  const bridge = (await node.netns.links()).find(({ name }) => name === "br0");
  expect(net1?.name).toBe("net1");
  expect(result).toEqual({
    cniVersion: "1.0.0",
    interfaces: [
      { name: "br0", mac: bridge?.mac },
      {
        name: expect.stringMatching(/^veth/),
        mac: expect.stringMatching(/^[0-9a-f:]{17}$/),
      },
      { name: "eth0", mac: eth0?.mac, sandbox: pod.netns.path },
    ],
    ips: [{ interface: 2, address: eth0?.addresses[0], gateway: "10.66.0.1" }],
    routes: [{ dst: "0.0.0.0/0" }],
    dns: { nameservers: ["10.96.0.10"], search: ["shop.svc"] },
  });
  await node.succeed("DEL", pod);
});

test("ADD, merged result", async () => {
  await using node = await startNode();
  const pod = await node.pod();
  const result = await node.succeed("ADD", pod, {
    annotations: { cni: "weave@net1,canal" },
    config: { result: "merged", cniVersion: "0.4.0" },
  });
  const [eth0, net1] = await pod.netns.links();
  const veth = {
    name: expect.stringMatching(/^veth/),
    mac: expect.any(String),
  };
  expect(result).toEqual({
    cniVersion: "0.4.0",
    interfaces: [
      { name: "br0", mac: expect.any(String) },
      veth,
      { name: "eth0", mac: eth0?.mac, sandbox: pod.netns.path },
      veth,
      { name: "net1", mac: net1?.mac, sandbox: pod.netns.path },
    ],
    ips: [
      {
        version: "4",
        interface: 2,
        address: eth0?.addresses[0],
        gateway: "10.66.0.1",
      },
      {
        version: "4",
        interface: 4,
        address: expect.stringMatching(/^10\.67\.0\.\d+\/24$/),
        gateway: "10.67.0.1",
      },
    ],
    routes: [
      { dst: "0.0.0.0/0", gw: "10.66.0.1" },
      { dst: "10.68.0.0/16", gw: "10.67.0.1" },
    ],
    dns: { nameservers: ["10.96.0.10", "10.96.0.11"], search: ["shop.svc"] },
  });
  await node.succeed("DEL", pod);
  expect(await node.remains()).toEqual(nothing);
});

describe("ADD, cniVersion of the request", () => {
  test.each(supportedVersions)("%s", async (cniVersion) => {
    await using node = await startNode();
    const pod = await node.pod();
    const options = { annotations: { cni: "canal" }, config: { cniVersion } };
    const result = await node.succeed("ADD", pod, options);
    const [eth0] = await pod.netns.links();
    const address = eth0?.addresses[0];
    const legacy = {
      ip: address,
      gateway: "10.66.0.1",
      routes: [{ dst: "0.0.0.0/0" }],
    };
    const ip = { interface: 2, address, gateway: "10.66.0.1" };
    const expected = {
      "0.1.0": { ip4: legacy },
      "0.2.0": { ip4: legacy },
      "0.3.0": { ips: [{ version: "4", ...ip }] },
      "0.3.1": { ips: [{ version: "4", ...ip }] },
      "0.4.0": { ips: [{ version: "4", ...ip }] },
      "1.0.0": { ips: [ip] },
      "1.1.0": { ips: [ip] },
    };
    expect(result).toMatchObject({ cniVersion, ...expected[cniVersion] });
    await node.succeed("DEL", pod, options);
    expect(await node.remains()).toEqual(nothing);
  });
});

test("ADD, two pods of one network reach each other", async () => {
  await using node = await startNode();
  const [a, b] = [await node.pod("a"), await node.pod("b")];
  await node.succeed("ADD", a, { annotations: { cni: "canal,weave" } });
  await node.succeed("ADD", b, { annotations: { cni: "canal" } });
  const address = (await b.netns.links())[0]?.addresses[0]?.split("/")[0] ?? "";
  expect(await a.netns.run("ping", "-c1", "-W5", address)).toContain(
    " 0% packet loss",
  );
  expect(await a.netns.run("ping", "-c1", "-W5", "10.67.0.1")).toContain(
    " 0% packet loss",
  );
  await node.succeed("DEL", a);
  await node.succeed("DEL", b);
  expect(await node.remains()).toEqual(nothing);
});

describe("DEL", () => {
  test.each([
    ["CNI_NETNS is empty", ""],
    ["CNI_NETNS is gone", "/var/run/netns/genie-gone"],
    ["CNI_NETNS is a plain file", "/etc/hostname"],
  ])("the namespace is gone: %s", async (_, CNI_NETNS) => {
    await using node = await startNode();
    const pod = await node.attach({ annotations: { cni: "canal,weave" } });
    await pod.netns.remove();
    await node.succeed("DEL", pod, { env: { CNI_NETNS } });
    expect(await node.remains()).toEqual(nothing);
  });
});

test("ADD, repeated without DEL: the first attachments are deleted first", async () => {
  await using node = await startNode();
  const pod = await node.attach({ annotations: { cni: "canal,weave" } });
  await node.succeed("ADD", pod, { annotations: { cni: "weave" } });
  expect(await attached(pod)).toEqual({ eth0: "weave" });
  expect(node.addresses()).toHaveLength(1);
  await node.succeed("DEL", pod);
  expect(await node.remains()).toEqual(nothing);
});
