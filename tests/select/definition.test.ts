/**
 * From an element and its definition to the list and arguments that are executed (selection.md §6).
 */
import { describe, expect, test } from "bun:test";
import { parseConf, parseConfList } from "../../lib/cni/conflist.ts";
import { readConfig } from "../../lib/select/config.ts";
import type { Attachment, Device } from "../../lib/select/attachment.ts";
import type { SelectionContext } from "../../lib/select/selection-context.ts";
import { definitionNetwork } from "../../lib/select/definition.ts";
import type { NetworkSelectionElement } from "../../lib/select/npwg-annotation.ts";
import { errorOf } from "../support/cni-error.ts";
import { nodeNetworks } from "./networks.ts";

const node = nodeNetworks({
  "05-torn.conf": "unexpected end of JSON input",
  "10-storage.conf": { name: "other", type: "ptp" },
  "20-x.conf": { name: "storage", type: "macvlan", mtu: 9000 },
  "30-y.conf": { name: "storage", type: "ipvlan" },
});

const multus = nodeNetworks(
  { "backup.conf": { name: "backup", type: "bridge" }, "x.conf": "torn" },
  "/etc/cni/multus/net.d",
);

interface Case {
  /** The name of the definition. */
  name?: string;
  element?: Partial<NetworkSelectionElement>;
  /** An object is written as JSON. */
  config?: unknown;
  device?: Device;
  /** Our own configuration. */
  own?: object;
  args?: string;
}

interface Outcome {
  request: Omit<Attachment, "ifname">;
  warnings: string[];
}

function requested(given: Case): Outcome {
  const { element, config = "", device, own = {}, args = "" } = given;
  const { name = "storage" } = given;
  const warnings: string[] = [];
  const context: SelectionContext = {
    config: readConfig({ type: "geni", ...own }),
    networks: node,
    multusNetworks: () => multus,
    ifname: "eth0",
    args,
    warn: (message) => void warnings.push(message),
  };
  const text = typeof config === "string" ? config : JSON.stringify(config);
  const request = definitionNetwork(
    reference(name, element),
    { config: text, device },
    context,
  );
  return { request, warnings };
}

function reference(
  name: string,
  element: Partial<NetworkSelectionElement> = {},
) {
  const key = `shop/${name}`;
  return { namespace: "shop", key, element: { name, ...element }, origin: "" };
}

const refusal = (given: Case) => errorOf(() => requested(given));

const bridge = { cniVersion: "1.0.0", name: "lan", type: "bridge" };

/** Declares every capability. */
const capable = {
  ...bridge,
  capabilities: {
    ips: true,
    mac: true,
    infinibandGUID: true,
    portMappings: true,
    bandwidth: true,
    deviceID: true,
  },
};

/** The object in JSON, of so many bytes. */
function padded(bytes: number, object: object): string {
  const text = JSON.stringify({ ...object, pad: "" });
  return text.replace(/"}$/, `${"x".repeat(bytes - text.length)}"}`);
}

describe("definitionNetwork, spec.config", () => {
  const list = {
    cniVersion: "0.4.0",
    name: "lan",
    disableCheck: true,
    plugins: [{ type: "bridge" }, { type: "tuning", mtu: 1400 }],
  };
  const cases: [string, unknown, Attachment["list"]][] = [
    ["one plugin", bridge, parseConf(bridge)],
    ["a list", list, parseConfList(list)],
    [
      "no name",
      { type: "bridge" },
      parseConf({ type: "bridge", name: "storage" }),
    ],
    [
      "an empty name",
      { ...bridge, name: "" },
      parseConf({ ...bridge, name: "storage" }),
    ],
    [
      "a list without a name",
      { plugins: [{ type: "bridge" }] },
      parseConfList({ name: "storage", plugins: [{ type: "bridge" }] }),
    ],
    [
      "type and plugins, as Multus takes it: one plugin",
      { ...bridge, plugins: [{ type: "tuning" }] },
      parseConf({ ...bridge, plugins: [{ type: "tuning" }] }),
    ],
    [
      "no cniVersion: 0.3.0",
      { name: "lan", type: "bridge" },
      {
        ...parseConf(bridge),
        cniVersion: "0.3.0",
        plugins: [{ name: "lan", type: "bridge" }],
      },
    ],
    [
      "unknown keys, also of lists that are null",
      { ...bridge, x: null },
      parseConf({ ...bridge, x: null }),
    ],
    [
      "none: the node's network of that name, the first",
      "",
      parseConf({ name: "storage", type: "macvlan", mtu: 9000 }),
    ],
    [
      "blank",
      " \n",
      parseConf({ name: "storage", type: "macvlan", mtu: 9000 }),
    ],
  ];
  test.each(cases)("%s", (_, config, expected) => {
    expect(requested({ config })).toEqual({
      request: {
        list: expected,
        definition: "shop/storage",
        element: { network: "storage", namespace: "shop" },
        capabilityArgs: {},
        args: "",
      },
      warnings: [],
    });
  });

  const invalid: [string, Case, string][] = [
    [
      "no JSON",
      { config: "{" },
      'network-attachment-definition "shop/storage": spec.config: unexpected end of JSON input',
    ],
    ["no object", { config: "[]" }, "spec.config: expected an object"],
    [
      "no type",
      { config: { name: "lan" } },
      "spec.config: error parsing configuration: missing 'type'",
    ],
    [
      "an invalid network name",
      { config: { name: "a b", type: "ptp" } },
      'network-attachment-definition "shop/storage": spec.config: invalid characters found in network name "a b"',
    ],
    [
      "genie itself",
      { config: { type: "genie" } },
      'plugin "genie" would execute genie again',
    ],
    [
      "genie under its configured type",
      { config: { type: "geni" } },
      'plugin "geni" would execute genie again',
    ],
    [
      "genie as a delegate",
      { config: { type: "flannel", delegate: { type: "genie" } } },
      'plugin "flannel" would execute genie again',
    ],
    [
      "a plugin that is not allowed",
      { config: bridge, own: { allowedPlugins: ["macvlan", "ptp"] } },
      'plugin "bridge" is not allowed on this node: allowedPlugins has macvlan, ptp',
    ],
    [
      "none is allowed",
      { config: bridge, own: { allowedPlugins: [] } },
      "allowedPlugins has none",
    ],
    [
      "the second is not allowed",
      {
        config: {
          name: "lan",
          plugins: [{ type: "bridge" }, { type: "tuning" }],
        },
        own: { allowedPlugins: ["bridge"] },
      },
      'plugin "tuning" is not allowed',
    ],
    [
      "a delegate is not allowed",
      {
        config: { type: "flannel", delegate: { type: "bridge" } },
        own: { allowedPlugins: ["flannel"] },
      },
      'plugin "bridge" is not allowed',
    ],
    [
      "a plugin as IPAM is not allowed",
      {
        config: { type: "ptp", ipam: { type: "host-device" }, device: "eth0" },
        own: { allowedPlugins: ["ptp"] },
      },
      'IPAM plugin "host-device" is not allowed on this node: allowedIpams has host-local, static, dhcp, whereabouts',
    ],
    [
      "an IPAM plugin of a delegate is not allowed",
      {
        config: { type: "ptp", delegate: { type: "ptp", IPAM: { Type: "x" } } },
        own: { allowedPlugins: ["ptp"], allowedIpams: ["static"] },
      },
      'IPAM plugin "x" is not allowed on this node: allowedIpams has static',
    ],
    [
      "an IPAM plugin is not allowed where plugins are",
      {
        config: { type: "ptp", ipam: { type: "dhcp" } },
        own: { allowedIpams: [] },
      },
      'IPAM plugin "dhcp" is not allowed on this node: allowedIpams has none',
    ],
    [
      "an IPAM plugin as plugin is not allowed",
      {
        config: { type: "host-local" },
        own: { allowedPlugins: ["ptp"], allowedIpams: ["host-local"] },
      },
      'plugin "host-local" is not allowed on this node: allowedPlugins has ptp',
    ],
    [
      "control characters in the configuration",
      { config: { type: "ptp" }, own: { allowedPlugins: ["a\n\u202e"] } },
      'allowedPlugins has "a\\n\\u202e"',
    ],
    [
      "more than 256 KiB",
      { config: { type: "bridge", x: "ä".repeat(128 << 10) } },
      "spec.config: larger than 256 KiB",
    ],
    [
      "a network of the node that is not allowed",
      { own: { allowedNetworks: ["other", "gone"], default_plugin: "other" } },
      'network-attachment-definition "shop/storage": network "storage" is not allowed on this node: allowedNetworks has other, gone',
    ],
    [
      "a network of Multus that is not allowed",
      { name: "backup", own: { allowedNetworks: ["storage"] } },
      'network "backup" is not allowed on this node: allowedNetworks has storage',
    ],
    [
      "no network of the node, nor of Multus",
      { name: "nothing" },
      'network-attachment-definition "shop/nothing": spec.config is empty and no network of /etc/cni/net.d or /etc/cni/multus/net.d has its name',
    ],
  ];
  test.each(invalid)("%s is an error 7", (_, given, message) => {
    expect(refusal(given)).toEqual({
      code: 7,
      message: expect.stringContaining(message),
    });
  });

  test.each<[string, Case]>([
    [
      "IPAM plugins of the default list",
      {
        config: { type: "ptp", ipam: { type: "host-local" } },
        own: { allowedPlugins: ["ptp"] },
      },
    ],
    [
      "an empty IPAM type: a network without IPAM",
      {
        config: { type: "macvlan", ipam: { type: "" } },
        own: { allowedPlugins: ["macvlan"] },
      },
    ],
    [
      "an IPAM plugin that is in allowedIpams",
      {
        config: { type: "ptp", ipam: { type: "calico-ipam" } },
        own: { allowedPlugins: ["ptp"], allowedIpams: ["calico-ipam"] },
      },
    ],
    [
      "an IPAM plugin that is in allowedPlugins",
      {
        config: { type: "ptp", ipam: { type: "calico-ipam" } },
        own: { allowedPlugins: ["ptp", "calico-ipam"] },
      },
    ],
    [
      "any IPAM plugin where nothing is restricted",
      { config: { type: "ptp", ipam: { type: "calico-ipam" } } },
    ],
    [
      "32 plugins and 256 KiB",
      {
        config: padded(256 << 10, {
          name: "lan",
          plugins: Array.from({ length: 32 }, () => ({ type: "bridge" })),
        }),
      },
    ],
    [
      "an allowed network of the node",
      { own: { allowedNetworks: ["storage", "20-x"] } },
    ],
    [
      "the default network of the node",
      { own: { allowedNetworks: [], default_plugin: "x" } },
    ],
    [
      "an allowed network of Multus",
      { name: "backup", own: { allowedNetworks: ["backup"] } },
    ],
  ])("allowed: %s", (_, given) => {
    expect(requested(given).request.list.plugins).not.toEqual([]);
  });

  test("no spec.config, the network of Multus after those of the node", () => {
    expect(requested({ name: "backup" }).request.list).toEqual(
      parseConf({ name: "backup", type: "bridge" }),
    );
  });

  test("allowed plugins, a file of the node is the node's", () => {
    const { request } = requested({ own: { allowedPlugins: ["bridge"] } });
    expect(request.list.plugins[0]?.type).toBe("macvlan");
  });

  test("no spec.config and no such network", () => {
    const missing = () =>
      definitionNetwork(
        reference("backup"),
        { config: "" },
        {
          config: readConfig({ type: "genie" }),
          networks: node,
          ifname: "eth0",
          args: "",
        },
      );
    expect(missing).toThrow(
      'network-attachment-definition "shop/backup": spec.config is empty and no network of /etc/cni/net.d has its name',
    );
  });
});

test("definitionNetwork, requests as capabilities, CNI_ARGS and extras", () => {
  const element = {
    ifname: "san0",
    ips: ["10.30.0.7/24"],
    mac: "02:00:00:00:00:07",
    infinibandGuid: "c2:11:22:33:44:55:66:77",
    portMappings: [{ HostPort: 8080, containerPort: 80 }],
    bandwidth: { ingressRate: 2048 },
    defaultRoute: ["10.30.0.1"],
  };
  const { ifname: _ifname, ...requests } = element;
  const { ips, mac, portMappings, bandwidth, defaultRoute } = element;
  const args =
    "K8S_POD_NAMESPACE=shop;IgnoreUnknown=0;IP=192.0.2.1;K8S_POD_NAME=web";
  const device = { id: "0000:03:02.0" };
  expect(requested({ element, config: capable, args, device })).toEqual({
    request: {
      list: parseConf(capable),
      definition: "shop/storage",
      element: {
        network: "storage",
        namespace: "shop",
        interface: "san0",
        requests,
      },
      capabilityArgs: {
        ips,
        mac,
        infinibandGUID: element.infinibandGuid,
        portMappings,
        bandwidth,
        deviceID: device.id,
      },
      args: "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;IgnoreUnknown=1;IP=10.30.0.7/24;MAC=02:00:00:00:00:07",
      device,
      extras: { ips, mac, defaultRoute },
    },
    warnings: [],
  });
});

describe("definitionNetwork, CNI_ARGS", () => {
  const cases: [string, Partial<NetworkSelectionElement>, string, string][] = [
    ["nothing is added: as they came", {}, "a=b;;x", "a=b;;x"],
    ["ips", { ips: ["10.0.0.1"] }, "", "IgnoreUnknown=1;IP=10.0.0.1"],
    [
      "mac",
      { mac: "02:00:00:00:00:07" },
      "a=b",
      "a=b;IgnoreUnknown=1;MAC=02:00:00:00:00:07",
    ],
    [
      "port mappings are no argument",
      { portMappings: [{ hostPort: 1, containerPort: 1 }] },
      "a=b",
      "a=b",
    ],
    ["cni-args are none", { cniArgs: { a: "c" } }, "a=b", "a=b"],
  ];
  test.each(cases)("%s", (_, element, args, expected) => {
    const { request } = requested({ element, config: capable, args });
    expect(request.args).toBe(expected);
  });
});

describe("definitionNetwork, IP in CNI_ARGS", () => {
  const one = ["10.0.0.1"];
  const two = ["10.0.0.1", "fd00::1"];
  const args = "a=b;IP=192.0.2.1";
  test.each<[string, object, string[], string]>([
    ["declared, one", capable, one, "a=b;IgnoreUnknown=1;IP=10.0.0.1"],
    ["declared, two", capable, two, "a=b"],
    ["not declared, one", bridge, one, "a=b;IgnoreUnknown=1;IP=10.0.0.1"],
    [
      "not declared, two",
      bridge,
      two,
      "a=b;IgnoreUnknown=1;IP=10.0.0.1,fd00::1",
    ],
    [
      "declared as false, two",
      { ...bridge, capabilities: { ips: false } },
      two,
      "a=b;IgnoreUnknown=1;IP=10.0.0.1,fd00::1",
    ],
    [
      "declared by another plugin of the list, two",
      { name: "lan", plugins: [{ type: "tuning" }, capable] },
      two,
      "a=b",
    ],
  ])("%s", (_, config, ips, expected) => {
    const { request } = requested({ element: { ips }, config, args });
    expect(request.args).toBe(expected);
    expect(request.capabilityArgs).toEqual({ ips });
  });
});

describe("definitionNetwork, cni-args", () => {
  const cniArgs = { ips: ["10.0.0.1/24"], mode: "fast" };
  const cases: [string, object, object][] = [
    ["no args", {}, { cni: cniArgs }],
    ["other args", { args: { labels: [1] } }, { labels: [1], cni: cniArgs }],
    [
      "the pod's value wins",
      { args: { cni: { mode: "slow", mtu: 1 } } },
      { cni: { mode: "fast", mtu: 1, ips: cniArgs.ips } },
    ],
    ["args that are none", { args: "x" }, { cni: cniArgs }],
  ];
  test.each(cases)("%s", (_, plugin, args) => {
    const config = {
      name: "lan",
      plugins: [{ type: "a", ...plugin }, { type: "b" }],
    };
    const { request } = requested({ element: { cniArgs }, config });
    expect(request.list.plugins).toEqual([
      { type: "a", args },
      { type: "b", args: { cni: cniArgs } },
    ]);
  });

  test("a network of the node stays as it is", () => {
    const before = structuredClone(node.candidates[1]?.list);
    const { request } = requested({ element: { cniArgs } });
    expect(request.list.plugins).toEqual([
      { name: "storage", type: "macvlan", mtu: 9000, args: { cni: cniArgs } },
    ]);
    expect(node.candidates[1]?.list).toEqual(before);
  });
});

describe("definitionNetwork, devices", () => {
  const config = {
    name: "lan",
    plugins: [{ type: "sriov" }, { type: "tuning" }],
  };
  const id = "0000:03:02.0";

  test("of a resource: in the first plugin, no capability needed, also when strict", () => {
    const device = { id, resource: "intel.com/sriov" };
    const { request, warnings } = requested({
      config,
      device,
      own: { strict: true },
    });
    expect({ ...request, warnings }).toEqual({
      list: {
        ...parseConfList(config),
        plugins: [
          { type: "sriov", deviceID: id, pciBusID: id },
          { type: "tuning" },
        ],
      },
      definition: "shop/storage",
      element: { network: "storage", namespace: "shop" },
      capabilityArgs: { deviceID: id },
      args: "",
      device,
      warnings: [],
    });
  });

  test("just named: by capability only", () => {
    const { request, warnings } = requested({ config, device: { id } });
    expect(request.list).toEqual(parseConfList(config));
    expect(request.capabilityArgs).toEqual({ deviceID: id });
    expect(warnings).toEqual([
      'network-attachment-definition "shop/storage": "deviceID" is requested, but no plugin declares that capability',
    ]);
  });
});

describe("definitionNetwork, a request that no plugin declares", () => {
  const cases: [string, Partial<NetworkSelectionElement>][] = [
    ["ips", { ips: ["10.0.0.1"] }],
    ["mac", { mac: "02:00:00:00:00:07" }],
    ["infinibandGUID", { infinibandGuid: "c2:11:22:33:44:55:66:77" }],
    ["portMappings", { portMappings: [{ hostPort: 1, containerPort: 1 }] }],
    ["bandwidth", { bandwidth: { ingressRate: 1 } }],
  ];
  const message = (capability: string) =>
    `network-attachment-definition "shop/storage": "${capability}" is requested, but no plugin declares that capability`;

  test.each(cases)("%s, a warning", (capability, element) => {
    expect(requested({ element, config: bridge }).warnings).toEqual([
      message(capability),
    ]);
  });

  test.each(cases)("%s, strict: an error 7", (capability, element) => {
    const own = { strict: true };
    expect(refusal({ element, config: bridge, own })).toEqual({
      code: 7,
      message: message(capability),
    });
    expect(requested({ element, config: capable, own }).warnings).toEqual([]);
  });

  test("false is not declared, inherited names neither", () => {
    const config = { ...bridge, capabilities: { ips: false } };
    const element = { ips: ["10.0.0.1"] };
    expect(requested({ element, config }).warnings).toEqual([message("ips")]);
  });

  test("one plugin of the list is enough", () => {
    const config = {
      name: "lan",
      plugins: [
        { type: "bridge" },
        { type: "tuning", capabilities: { mac: true } },
      ],
    };
    const element = { mac: "02:00:00:00:00:07" };
    expect(
      requested({ element, config, own: { strict: true } }).warnings,
    ).toEqual([]);
  });
});
