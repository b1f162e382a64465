/** selection.md §9: from two specifications to a network of the node. */
import { describe, expect, test } from "bun:test";
import { ruleOf } from "../../lib/select/choice.ts";
import { readConfig } from "../../lib/select/config.ts";
import {
  logicalNetwork,
  parseLogical,
} from "../../lib/select/logical-network.ts";
import { nodeNetworks } from "./networks.ts";
import { refusal } from "../support/cni-error.ts";

const cniVersion = "1.0.0";
const hostLocal = {
  type: "host-local",
  ranges: [[{ subnet: "10.9.0.0/16" }]],
  rangeStart: "10.9.0.9",
  rangeEnd: "10.32.0.99",
  gateway: "10.32.0.1",
  routes: [
    { dst: "0.0.0.0/0", gw: "10.9.0.1" },
    { dst: "10.1.0.0/16", gw: "10.32.0.2", mtu: 1400 },
    { dst: "10.2.0.0/16", gw: "169.254.1.1" },
  ],
};
const node = nodeNetworks({
  "10-lan.conflist": {
    cniVersion,
    name: "lan-net",
    plugins: [
      { type: "macvlan", ipam: hostLocal },
      { type: "vlan", master: "up9" },
      { type: "tuning" },
    ],
  },
  "20-weave.conf": { cniVersion, name: "weave", type: "weave-net", mtu: 1 },
  "30-flannel.conf": { cniVersion, name: "cbr0", type: "flannel" },
});

interface Given {
  logical?: object;
  physical?: object;
  name?: string;
  ifname?: string;
  config?: object;
}

function chosen({ logical = {}, physical, config = {}, ...request }: Given) {
  const key = "shop/net1";
  return logicalNetwork(
    {
      request: { name: "net1", ...request },
      key,
      logical: parseLogical(logical, key),
      ...(physical && { physical: { key: "shop/phy", spec: physical } }),
    },
    node,
    readConfig(config),
  );
}

const pluginsOf = (given: Given) => chosen(given).candidate.list.plugins;

const dedicated = { plugin: "lan", subnet: "10.32.0.0/16", dedicatedNet: true };

describe("logicalNetwork", () => {
  test("dedicated: the physical network's plugin, NIC and subnet; the file is as it was", () => {
    const before = JSON.stringify(node.candidates);
    const given = {
      logical: { physicalNet: "phy", plugin: "flannel" },
      physical: { refer_nic: "eth7", sharedStatus: dedicated },
      ifname: "net1",
    };
    expect(pluginsOf(given)).toEqual([
      {
        type: "macvlan",
        master: "eth7",
        ipam: {
          type: "host-local",
          subnet: "10.32.0.0/16",
          rangeEnd: "10.32.0.99",
          gateway: "10.32.0.1",
          // A link-scope gateway is of no subnet.
          routes: [
            { dst: "0.0.0.0/0" },
            { dst: "10.1.0.0/16", gw: "10.32.0.2", mtu: 1400 },
            { dst: "10.2.0.0/16", gw: "169.254.1.1" },
          ],
        },
      },
      { type: "vlan", master: "up9" },
      { type: "tuning" },
    ]);
    const { name, ifname } = chosen(given);
    expect({ name, ifname }).toEqual({ name: "lan", ifname: "net1" });
    expect(ruleOf({ ifname: "net1", node: chosen(given) })).toBe(
      'annotation "networks" names logical network "shop/net1" (physical network "shop/phy", subnet 10.32.0.0/16) of "lan": file key of "10-lan.conflist"',
    );
    expect(JSON.stringify(node.candidates)).toBe(before);
  });

  test.each<[what: string, given: Given, ipam: unknown]>([
    [
      "shared: the logical network's plugin, its own subnet",
      {
        logical: { plugin: "lan", sub_subnet: "10.32.0.0/24" },
        physical: { sharedStaus: { dedicatedNet: false, plugin: "weave" } },
      },
      expect.objectContaining({ subnet: "10.32.0.0/24" }),
    ],
    [
      "a subnet inside of the physical one wins",
      {
        logical: { sub_subnet: "10.32.7.0/24" },
        physical: { sharedStatus: dedicated },
      },
      expect.objectContaining({ subnet: "10.32.7.0/24" }),
    ],
    [
      "host bits, which host-local refuses",
      { logical: { plugin: "lan", sub_subnet: "10.32.7.9/20" } },
      expect.objectContaining({ subnet: "10.32.0.0/20" }),
    ],
    [
      "default by name",
      { logical: { plugin: "default", sub_subnet: "10.32.0.0/24" } },
      expect.objectContaining({ subnet: "10.32.0.0/24" }),
    ],
    [
      "weave-net, which is its own IPAM",
      { logical: { plugin: "weave", sub_subnet: "fd00::/64" } },
      { subnet: "fd00::/64" },
    ],
    ["no subnet: as in the file", { logical: { plugin: "lan" } }, hostLocal],
    [
      "no subnet: any IPAM",
      { logical: { plugin: "flannel", sub_subnet: "" } },
      undefined,
    ],
  ])("%s", (_, given, ipam) => {
    expect(pluginsOf(given)[0]?.["ipam"]).toEqual(ipam);
  });

  test.each<[Given, string]>([
    [{}, 'logical network "shop/net1": it names no plugin'],
    [
      {
        logical: { plugin: "lan" },
        physical: { sharedStatus: { dedicatedNet: true } },
      },
      'physical network "shop/phy": it is dedicated and names no plugin',
    ],
    [
      { logical: {}, physical: { sharedStatus: { plugin: "lan" } } },
      'logical network "shop/net1": it names no plugin',
    ],
    [
      {
        logical: { plugin: "default" },
        config: { default_plugin: "lan,weave" },
      },
      'logical network "shop/net1": network "default" stands for 2 networks on this node, which can only be requested alone and without an interface name',
    ],
    [
      { logical: { plugin: "nowhere" } },
      'no network "nowhere" in /etc/cni/net.d: have lan, weave, flannel',
    ],
    [
      {
        logical: { sub_subnet: "10.33.0.0/24" },
        physical: { sharedStatus: dedicated },
      },
      'logical network "shop/net1": subnet 10.33.0.0/24 is outside of the physical network\'s subnet 10.32.0.0/16',
    ],
    [
      {
        logical: { sub_subnet: "10.0.0.0/8" },
        physical: { sharedStatus: dedicated },
      },
      'logical network "shop/net1": subnet 10.0.0.0/8 is outside of the physical network\'s subnet 10.32.0.0/16',
    ],
    [
      {
        logical: { sub_subnet: "fd00::/64" },
        physical: { sharedStatus: dedicated },
      },
      'logical network "shop/net1": subnet fd00::/64 is outside of the physical network\'s subnet 10.32.0.0/16',
    ],
    [
      { logical: { plugin: "flannel", sub_subnet: "10.244.0.0/24" } },
      'logical network "shop/net1": the IPAM of network "cbr0" takes no subnet: expected host-local or weave-net',
    ],
    [
      { logical: { plugin: 7 } },
      'logical network "shop/net1": spec: plugin: expected a string, got the number 7',
    ],
    [
      { logical: { sub_subnet: "10.1.0.0" } },
      'logical network "shop/net1": spec: sub_subnet: expected a CIDR, got "10.1.0.0"',
    ],
    [
      { logical: { physicalNet: ".." } },
      'logical network "shop/net1": spec: physicalNet: expected a DNS-1123 subdomain, got ".."',
    ],
    [
      { physical: { sharedStatus: { dedicatedNet: "yes" } } },
      'physical network "shop/phy": spec: sharedStatus.dedicatedNet: expected a bool, got "yes"',
    ],
    [
      {
        logical: { plugin: "weave" },
        config: { allowedNetworks: ["flannel"] },
      },
      'network "weave" is not allowed on this node: allowedNetworks has flannel',
    ],
  ])("%j is an error 7", (given, message) => {
    expect(() => chosen(given)).toThrow(refusal(message));
  });
});
