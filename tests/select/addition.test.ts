/** agent.md "Hot attach and detach": one network, as it is typed, and whether it is there. */
import { attachmentOf } from "../support/records.ts";
import { expect, test } from "bun:test";
import {
  isSatisfied,
  parseAddition,
  recordedElement,
  typedNames,
} from "../../lib/select/addition.ts";
import type { Attachment, Element } from "../../lib/select/attachment.ts";
import { readConfig } from "../../lib/select/config.ts";
import { nodeNetworks } from "./networks.ts";

const networks = nodeNetworks({
  "10-canal.conf": { name: "canal-net", type: "bridge" },
  "20-weave.conf": { name: "weave-net", type: "ptp" },
  "30-calico.conf": { name: "k8s-pod-network", type: "calico" },
  "40-cilium.conf": { name: "k8s-pod-network", type: "cilium" },
});

function parse(text: string, config: object = {}) {
  return parseAddition(text, {
    config: readConfig(config),
    networks,
    ifname: "eth0",
    args: "",
    namespace: "shop",
  });
}

test.each<[text: string, element: Element]>([
  ["weave", { network: "weave" }],
  [" weave @ eth3 ", { network: "weave", interface: "eth3" }],
  ["default", { network: "default" }],
  ["infra/storage", { network: "storage", namespace: "infra" }],
  [
    "infra/storage@net3",
    { network: "storage", namespace: "infra", interface: "net3" },
  ],
  ['{"name":"storage"}', { network: "storage", namespace: "shop" }],
  [
    '[{"Name":"storage","namespace":"infra","interface":"x1","ips":["10.0.0.1"],"cni-args":{"a":1}}]',
    {
      network: "storage",
      namespace: "infra",
      interface: "x1",
      requests: { ips: ["10.0.0.1"], cniArgs: { a: 1 } },
    },
  ],
])("parseAddition, %s", (text, element) => {
  expect(parse(text).element).toEqual(element);
});

test.each<[text: string, config: object, message: string]>([
  ["", {}, "failed to parse network"],
  ["weave,canal", {}, 'expected one network, got "weave,canal"'],
  ["a/b,c/d", {}, "expected one network"],
  ['[{"name":"a"},{"name":"b"}]', {}, "expected one network"],
  ["[]", {}, "invalid network name"],
  ["nope", {}, 'no network "nope"'],
  ["weave@a/b", {}, "expected an interface name"],
  ['{"name":"a","ips":["x"]}', {}, "ips"],
  ["weave", { allowedNetworks: ["canal"] }, "allowedNetworks"],
  ["infra/a", { namespaceIsolation: true }, "namespaceIsolation"],
  ["default", { default_plugin: "canal,weave" }, "stands for 2 networks"],
])("parseAddition, %s with %j is refused", (text, config, message) => {
  expect(() => parse(text, config)).toThrow(message);
});

const attachment = (more: Partial<Attachment>) =>
  attachmentOf("weave-net", "eth1", more);

const ips = { ips: ["10.0.0.1"] };

const lanWith = (requests: Element["requests"] & object): Element => ({
  network: "lan",
  namespace: "shop",
  requests,
});

test.each<[Element, Partial<Attachment>, boolean]>([
  [{ network: "weave" }, { element: { network: "weave" } }, true],
  [{ network: "weave" }, { element: { network: "canal" } }, false],
  // Names of one file; not of two networks of one CNI name.
  [{ network: "Weave" }, { element: { network: "weave-net" } }, true],
  [{ network: "cilium" }, { element: { network: "calico" } }, false],
  // The default network.
  [{ network: "default" }, { element: { network: "canal" } }, true],
  [{ network: "canal-net" }, { element: { network: "default" } }, true],
  [{ network: "default" }, { element: { network: "weave" } }, false],
  [{ network: "default" }, { requested: "weave", origin: "default" }, true],
  [{ network: "weave" }, { element: { network: "default" } }, false],
  [
    { network: "weave", interface: "eth1" },
    { element: { network: "weave" } },
    true,
  ],
  [
    { network: "weave", interface: "eth2" },
    { element: { network: "weave" } },
    false,
  ],
  [
    { network: "weave" },
    { element: { network: "weave", interface: "eth1" } },
    true,
  ],
  [
    { network: "lan", namespace: "shop", requests: ips },
    { element: { network: "lan", namespace: "shop", requests: ips } },
    true,
  ],
  [
    { network: "lan", namespace: "shop", requests: ips },
    { element: { network: "lan", namespace: "shop" } },
    false,
  ],
  [
    { network: "lan", namespace: "shop" },
    { element: { network: "lan", namespace: "infra" } },
    false,
  ],
  // One address in another notation is no change.
  [
    lanWith({ mac: "02:00:00:00:00:ab", ips: ["fd00::a"] }),
    { element: lanWith({ ips: ["FD00::A"], mac: "02:00:00:00:00:AB" }) },
    true,
  ],
  [
    lanWith({ cniArgs: { zone: "a" } }),
    { element: lanWith({ cniArgs: { zone: "A" } }) },
    false,
  ],
  // Records before 0.2.0.
  [{ network: "weave-net" }, {}, true],
  [{ network: "weave" }, { requested: "weave" }, true],
  [
    { network: "lan", namespace: "shop", requests: ips },
    { definition: "shop/lan" },
    true,
  ],
  [{ network: "lan" }, { definition: "shop/lan" }, false],
])("isSatisfied, %j by %j: %p", (element, more, expected) => {
  const names = typedNames(readConfig({}), () => networks);
  expect(isSatisfied(element, attachment(more), names)).toBe(expected);
});

test.each<[config: object, file: string | undefined]>([
  [{}, "10-canal.conf"],
  [{ default_plugin: "weave" }, "20-weave.conf"],
  [{ default_plugin: "canal,weave" }, undefined],
  [{ default_plugin: "nope" }, undefined],
])("typedNames, default with %j", (config, file) => {
  const names = typedNames(readConfig(config), () => networks);
  expect(names.fileOf("default")).toBe(file);
});

test("typedNames, a file key that is default is not the default network", () => {
  const files = {
    "10-canal.conf": { name: "canal", type: "ptp" },
    "20-default.conf": { name: "default", type: "ptp" },
  };
  const named = nodeNetworks(files);
  const { isDefault, fileOf } = typedNames(readConfig({}), () => named);
  expect([isDefault("default"), fileOf("default")]).toEqual([
    false,
    "20-default.conf",
  ]);
});

test("recordedElement, of a record before 0.2.0: what is known", () => {
  expect(recordedElement(attachment({ definition: "shop/lan" }))).toEqual({
    network: "lan",
    namespace: "shop",
  });
});
