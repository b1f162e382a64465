/** selection.md §2 to §6: annotations and configuration in, choice and attachments out. */
import { describe, expect, test } from "bun:test";
import { parseConf } from "../../lib/cni/conflist.ts";
import {
  type Annotations,
  type Attachment,
  defaultNetworkAnnotation as byDefault,
  displayName,
  networksAnnotation as added,
} from "../../lib/select/attachment.ts";
import { blankChoice, parseChoice, ruleOf } from "../../lib/select/choice.ts";
import type { DefinitionReference } from "../../lib/select/definition-references.ts";
import type { SelectionContext } from "../../lib/select/selection-context.ts";
import { readConfig } from "../../lib/select/config.ts";
import { definitionNetwork } from "../../lib/select/definition.ts";
import { formerAttachments } from "../../lib/attach/foreign/unrecorded.ts";
import { defaultNetworks } from "../../lib/select/default-network.ts";
import { resolve } from "../../lib/select/resolve.ts";
import { nodeNetworks } from "./networks.ts";
import { refusal } from "../support/cni-error.ts";

const cniVersion = "1.0.0";
const node = nodeNetworks({
  "05-lo.conf": { cniVersion, name: "lo-net", type: "loopback" },
  "10-calico.conf": { cniVersion, name: "calico-net", type: "calico" },
  "20-flannel.conf": { cniVersion, name: "flannel-net", type: "flannel" },
  "30-weave.conf": { cniVersion, name: "weave-net", type: "weave" },
});

const empty = nodeNetworks({});
const withNamedDefault = nodeNetworks({
  "10-calico.conf": { cniVersion, name: "calico-net", type: "calico" },
  "20-weave.conf": { cniVersion, name: "weave-net", type: "weave" },
  "30-own.conf": { cniVersion, name: "default", type: "bridge" },
});

function contextOf(
  config: object = {},
  more: Partial<SelectionContext> = {},
): SelectionContext {
  return {
    config: readConfig(config),
    networks: node,
    ifname: "eth0",
    args: "K8S_POD_NAME=p",
    namespace: "ns",
    ...more,
  };
}

/** The attachments; each definition has a plugin of the type `type`. */
function select(
  annotations: Annotations,
  config: object = {},
  more: Partial<SelectionContext> = {},
  type = "macvlan",
): Attachment[] {
  const context = contextOf(config, more);
  const choice = parseChoice(annotations, context);
  const definitions = (reference: DefinitionReference) => {
    const { name } = reference.element;
    const text = JSON.stringify({ cniVersion, name, type });
    return definitionNetwork(reference, { config: text }, context);
  };
  return resolve(
    choice,
    context,
    choice.definitions.length > 0 ? definitions : undefined,
  );
}

/** `calico-net@eth0` of each attachment, in order. */
const names = (attachments: Pick<Attachment, "list" | "ifname">[]) =>
  attachments.map(({ list, ifname }) => `${list.name}@${ifname}`);

describe("resolve", () => {
  test("gives network, interface, CNI_ARGS and the runtime's arguments, these to the primary", () => {
    const runtimeConfig = { portMappings: [{ hostPort: 80 }], mac: null };
    expect(select({ cni: "weave@net1,flannel" }, { runtimeConfig })).toEqual([
      {
        list: parseConf({
          cniVersion: "1.0.0",
          name: "weave-net",
          type: "weave",
        }),
        ifname: "net1",
        args: "K8S_POD_NAME=p",
        capabilityArgs: {},
        requested: "weave",
        element: { network: "weave", interface: "net1" },
      },
      {
        list: parseConf({
          cniVersion: "1.0.0",
          name: "flannel-net",
          type: "flannel",
        }),
        ifname: "eth0",
        args: "K8S_POD_NAME=p",
        capabilityArgs: runtimeConfig,
        requested: "flannel",
        element: { network: "flannel" },
      },
    ]);
  });

  test("ports that an element requests are added to the runtime's, other requests replace them", () => {
    const element = {
      name: "blue",
      portMappings: [{ hostPort: 81, containerPort: 1, protocol: "udp" }],
      bandwidth: { ingressRate: 2 },
    };
    const portMappings = [{ hostPort: 80, containerPort: 8080 }];
    const bandwidth = { ingressRate: 1 };
    const dns = { servers: ["10.96.0.10"] };
    const runtimeConfig = { portMappings, bandwidth, dns };
    const [primary] = select(
      { [byDefault]: JSON.stringify(element) },
      { runtimeConfig },
    );
    expect(primary?.capabilityArgs).toEqual({
      portMappings: [...portMappings, ...element.portMappings],
      bandwidth: element.bandwidth,
      dns,
    });
  });

  test.each<
    [cni: string | undefined, config: object, expected: Partial<Attachment>]
  >([
    [undefined, {}, { origin: "default" }],
    [undefined, { default_plugin: "weave@eth0" }, { origin: "default" }],
    ["default", {}, { origin: "default" }],
    ["weave", {}, { element: { network: "weave" } }],
    [
      " Weave @ eth0 ",
      {},
      { element: { network: "Weave", interface: "eth0" } },
    ],
  ])(
    "cni %j, tells the element, or that it is the default network",
    (cni, config, expected) => {
      const [attachment] = select(cni === undefined ? {} : { cni }, config);
      const { element, origin } = attachment ?? {};
      expect({ element, origin }).toEqual({
        element: undefined,
        origin: undefined,
        ...expected,
      });
    },
  );

  test("a default network named in a list is an element", () => {
    expect(
      select({ cni: "weave,default@net7" }).map(({ element }) => element),
    ).toEqual([
      { network: "weave" },
      { network: "default", interface: "net7" },
    ]);
  });

  test.each<
    [what: string, cni: string | undefined, config: object, name: string]
  >([
    ["the file key that was typed", "weave", {}, "weave"],
    ["in the case that was typed", "Weave", {}, "Weave"],
    ["the CNI name that was typed", "weave-net", {}, "weave-net"],
    ["the first file's key", undefined, {}, "calico"],
    ["default_plugin", undefined, { default_plugin: "weave" }, "weave"],
  ])("displayName, %s", (_, cni, config, name) => {
    expect(
      select(cni === undefined ? {} : { cni }, config).map(displayName),
    ).toEqual([name]);
  });

  test("displayName, of a definition its own name", () => {
    const list = parseConf({ name: "cbr0", type: "macvlan" });
    expect(displayName({ list, definition: "shop/storage" })).toBe("storage");
    expect(displayName({ list })).toBe("cbr0");
  });

  test.each<[string, Readonly<Record<string, string>>, string[]]>([
    ["a: the list in cni", { cni: "weave" }, ["weave-net@eth0"]],
    [
      "a: in its order, with the original's names",
      { cni: " weave , flannel, weave " },
      ["weave-net@eth0", "flannel-net@eth1", "weave-net@eth2"],
    ],
    ["a: by name of the network", { cni: "weave-net" }, ["weave-net@eth0"]],
    [
      "a: although networks is there",
      { cni: "weave", networks: "logical" },
      ["weave-net@eth0"],
    ],
    ["b: cni is absent", {}, ["calico-net@eth0"]],
    [
      "b: cni is absent, networks is of another program",
      { networks: "logical" },
      ["calico-net@eth0"],
    ],
    ["d: cni is blank", { cni: "" }, ["calico-net@eth0"]],
    ["d: cni is white", { cni: " \t\n" }, ["calico-net@eth0"]],
    [
      "d: cni and networks are blank",
      { cni: "", networks: " " },
      ["calico-net@eth0"],
    ],
    ["keys in other case do not count", { CNI: "weave" }, ["calico-net@eth0"]],
  ])("rule %s", (_, annotations, expected) => {
    expect(names(select(annotations))).toEqual(expected);
  });

  test("rule c: logical networks are not the default network, and replaced by no other", () => {
    const annotations = { cni: " ", networks: "blue" };
    const given = [...defaultNetworks(readConfig({}), node)];
    expect(names(select(annotations, {}, { given }))).toEqual([
      "calico-net@eth0",
    ]);
    expect(() => select(annotations)).toThrow(
      refusal(
        'annotation "networks" asks for logical networks, which only the API server knows: "blue"',
      ),
    );
    expect(() => select({ ...annotations, [byDefault]: "uplink" })).toThrow(
      refusal(`annotations "networks" and "${byDefault}" exclude each other`),
    );
  });

  test.each<[Annotations, ReturnType<typeof blankChoice>]>([
    [{}, undefined],
    [{ networks: "blue" }, undefined],
    [{ cni: "weave", networks: "blue" }, undefined],
    [{ cni: "" }, {}],
    [{ cni: " ", networks: "\t", [byDefault]: "" }, {}],
    [{ cni: "", networks: " blue" }, { logical: " blue" }],
    [{ cni: "", networks: "blue", [byDefault]: "uplink" }, undefined],
    [{ cni: "", networks: "blue", [byDefault]: "[ ]" }, { logical: "blue" }],
  ])("blankChoice, of %j", (annotations, expected) => {
    expect(blankChoice(annotations)).toEqual(expected);
  });

  test("reads annotations by own property", () => {
    const inherited: Readonly<Record<string, string>> = Object.create({
      cni: "weave",
    }) as Record<string, string>;
    expect(names(select(inherited))).toEqual(["calico-net@eth0"]);
  });

  test.each<[string, string]>([
    ["weave@eth4", "eth4"],
    ["weave@eth4,flannel@net1", "eth4, net1"],
    ["weave@\u001b[1m", '"\\u001b[1m"'],
  ])("refuses %j, which leaves out CNI_IFNAME", (cni, have) => {
    expect(() => select({ cni })).toThrow(
      refusal(
        `no network is attached as eth0 (CNI_IFNAME), where the runtime looks for the pod's address: have ${have}`,
      ),
    );
  });

  test("takes 32 networks and no more, both annotations together", () => {
    const cni = Array(31).fill("weave").join(",");
    const take = (definitions: string) => select({ cni, [added]: definitions });
    expect(take("a")).toHaveLength(32);
    expect(() => take("a,b")).toThrow(
      refusal("more than 32 networks are requested"),
    );
  });
});

describe("parseChoice, the default network", () => {
  test.each<[string, object, string[]]>([
    ["the first that is not a loopback", {}, ["calico-net@eth0"]],
    [
      "the first when it is blank",
      { default_plugin: " " },
      ["calico-net@eth0"],
    ],
    ["default_plugin", { default_plugin: "weave" }, ["weave-net@eth0"]],
    [
      "default_plugin as a list",
      { default_plugin: "weave@eth1, flannel" },
      ["weave-net@eth1", "flannel-net@eth0"],
    ],
    [
      "default_plugin, whatever is allowed",
      { default_plugin: "weave", allowedNetworks: ["calico"] },
      ["weave-net@eth0"],
    ],
  ])("is %s", (_, config, expected) => {
    expect(names(select({}, config))).toEqual(expected);
  });

  test("is an error when there is none", () => {
    expect(() => select({}, {}, { networks: empty })).toThrow(
      refusal(
        "no default network: /etc/cni/net.d holds no other CNI configuration",
      ),
    );
  });

  test.each<[string, string]>([
    [
      "gone",
      'no network "gone" in /etc/cni/net.d: have lo, calico, flannel, weave',
    ],
    [
      "weave@net7",
      "no network is attached as eth0 (CNI_IFNAME), where the runtime looks for the pod's address: have net7",
    ],
  ])("is an error when default_plugin is %s", (default_plugin, text) => {
    expect(() => select({}, { default_plugin })).toThrow(refusal(text));
  });

  test("does not matter to a pod that chooses", () => {
    expect(names(select({ cni: "weave" }, { default_plugin: "gone" }))).toEqual(
      ["weave-net@eth0"],
    );
  });

  test("is the definition of the other annotation", () => {
    expect(
      names(select({ [byDefault]: "blue" }, { default_plugin: "gone" })),
    ).toEqual(["blue@eth0"]);
  });

  test("cannot be said by a definition and chosen by cni", () => {
    expect(() => select({ cni: "weave", [byDefault]: "blue" })).toThrow(
      refusal(
        'annotations "cni" and "v1.multus-cni.io/default-network" exclude each other',
      ),
    );
  });

  test("has no interface but CNI_IFNAME", () => {
    const blue = (ifname: string) => select({ [byDefault]: `blue@${ifname}` });
    expect(names(blue("eth0"))).toEqual(["blue@eth0"]);
    expect(() => blue("net1")).toThrow(
      refusal(
        'annotation "v1.multus-cni.io/default-network" asks for interface "net1": the default network is attached as eth0 (CNI_IFNAME)',
      ),
    );
  });
});

describe("parseChoice, networks of definitions", () => {
  test.each<[string, Annotations, string[]]>([
    [
      "come after the default",
      { [added]: "a,b" },
      ["calico-net@eth0", "a@net1", "b@net2"],
    ],
    [
      "come after those of cni",
      { cni: "weave,flannel", [added]: "a" },
      ["weave-net@eth0", "flannel-net@eth1", "a@net1"],
    ],
    [
      "come after the definition of the default network",
      { [byDefault]: "d", [added]: "a@x,b" },
      ["d@eth0", "a@x", "b@net2"],
    ],
    [
      "do not take a name that either annotation requests",
      { cni: "weave,flannel@net1", [added]: "a,b@net3,c,d" },
      [
        "weave-net@eth0",
        "flannel-net@net1",
        "a@net2",
        "b@net3",
        "c@net4",
        "d@net5",
      ],
    ],
    [
      "can have CNI_IFNAME where cni leaves it to them",
      { cni: "weave@eth1", [added]: "a@eth0" },
      ["weave-net@eth1", "a@eth0"],
    ],
  ])("%s", (_, annotations, expected) => {
    expect(names(select(annotations))).toEqual(expected);
  });

  test.each<[string, Annotations]>([
    ["the default network", {}],
    ["a network of cni", { cni: "weave,flannel@eth1" }],
  ])(
    "cannot have CNI_IFNAME beside %s: the error names the other annotation",
    (_, annotations) => {
      expect(() => select({ ...annotations, [added]: "a@eth0" })).toThrow(
        refusal(
          'repeated request for interface name "eth0", which the pod\'s primary network has: annotation "v1.multus-cni.io/default-network" replaces that network',
        ),
      );
    },
  );

  test("cannot have an interface that another one has", () => {
    expect(() =>
      select({ cni: "weave,flannel@net1", [added]: "a@net1" }),
    ).toThrow(refusal('repeated request for interface name "net1"'));
  });

  test("primary, the index of CNI_IFNAME", () => {
    const annotations = { cni: "weave@eth1", [added]: "a,b@eth0" };
    expect(parseChoice(annotations, contextOf()).primary).toBe(2);
  });
});

describe("parseChoice, the name default", () => {
  const two = { default_plugin: "weave,flannel@eth3" };

  test.each<[string, object, string[]]>([
    ["default", {}, ["calico-net@eth0"]],
    ["default@eth0", {}, ["calico-net@eth0"]],
    ["default", { default_plugin: "weave" }, ["weave-net@eth0"]],
    ["default", two, ["weave-net@eth0", "flannel-net@eth3"]],
    ["default", { allowedNetworks: [] }, ["calico-net@eth0"]],
    ["weave,default", {}, ["weave-net@eth0", "calico-net@eth1"]],
    ["weave, default @ net7", {}, ["weave-net@eth0", "calico-net@net7"]],
    [
      "default,weave",
      { default_plugin: "flannel@eth0" },
      ["flannel-net@eth0", "weave-net@eth1"],
    ],
  ])("%s with %j: the default network", (cni, config, expected) => {
    expect(names(select({ cni }, config))).toEqual(expected);
  });

  test("is a file's where there is one with that key", () => {
    const networks = nodeNetworks({
      "10-calico.conf": { name: "calico-net", type: "calico" },
      "20-default.conf": { name: "other", type: "ptp" },
    });
    expect(names(select({ cni: "default" }, {}, { networks }))).toEqual([
      "other@eth0",
    ]);
  });

  test("is no network's name or type, and in no other case", () => {
    const networks = nodeNetworks({
      "10-calico.conf": { name: "calico-net", type: "calico" },
      "20-x.conf": { name: "default", type: "default" },
      "30-default.conf": "unexpected end of JSON input",
    });
    const chosen = (cni: string) => names(select({ cni }, {}, { networks }));
    expect(chosen("default")).toEqual(["calico-net@eth0"]);
    expect(chosen("Default")).toEqual(["default@eth0"]);
  });

  test.each(["default,calico", "calico,default", "default@eth0"])(
    "refuses %s where there are several default networks",
    (cni) => {
      expect(() => select({ cni }, two)).toThrow(
        refusal(
          'annotation "cni": network "default" stands for 2 networks on this node, which can only be requested alone and without an interface name',
        ),
      );
    },
  );
});

describe("parseChoice, plugins that serve a container once", () => {
  const networks = nodeNetworks({
    "10-calico.conf": { name: "calico-net", type: "calico" },
    "20-canal.conflist": {
      name: "canal-net",
      plugins: [{ type: "calico" }, { type: "portmap" }],
    },
    "30-flannel.conf": { name: "cbr0", type: "flannel" },
    "40-wrapped.conf": {
      name: "wrapped-net",
      type: "wrapper",
      DELEGATE: { type: "flannel" },
    },
    "50-weave.conf": { name: "weave-net", type: "weave-net" },
    "60-ipam.conf": {
      name: "ipam-net",
      type: "bridge",
      ipam: { type: "calico" },
    },
  });
  const choose = (cni: string, config: object = {}) =>
    select({ cni }, config, { networks });

  const calico =
    "it names the interface of the host after the pod, so its second ADD removes the pod's first interface";
  const flannel =
    "it keeps one file per container, so its second DEL finds nothing and an address leaks";
  test.each([
    ["flannel,flannel", '"flannel" (eth0) and "flannel" (eth1)', "flannel"],
    ["calico,weave,canal", '"calico" (eth0) and "canal" (eth2)', "calico"],
    ["wrapped,cbr0@net1", '"wrapped" (eth0) and "cbr0" (net1)', "flannel"],
  ])("%s is an error 7 naming both", (cni, both, type) => {
    const reason = type === "calico" ? calico : flannel;
    expect(() => choose(cni)).toThrow(
      refusal(
        `networks ${both} both use plugin "${type}", which serves a container once: ${reason}`,
      ),
    );
  });

  test("counts the networks of definitions", () => {
    const annotations = { cni: "flannel", [added]: "lan" };
    expect(() => select(annotations, {}, { networks }, "flannel")).toThrow(
      refusal(expect.stringContaining('"flannel" (eth0) and "lan" (net1)')),
    );
  });

  test.each<[string, object]>([
    ["weave,weave", {}],
    ["calico,flannel", {}],
    ["calico,ipam", {}],
    ["calico,canal", { allowRepeated: ["calico"] }],
    ["flannel,flannel,calico", { allowRepeated: ["flannel"] }],
  ])("%s is attached with %j", (cni, config) => {
    expect(choose(cni, config)).toHaveLength(cni.split(",").length);
  });

  test("a type out of the table, the others stay in it", () => {
    expect(() =>
      choose("calico,canal", { allowRepeated: ["flannel"] }),
    ).toThrow(refusal(expect.stringContaining(calico)));
  });
});

describe("parseChoice, the cost of a choice", () => {
  const node300 = () =>
    nodeNetworks(
      Object.fromEntries(
        Array.from({ length: 300 }, (_, i) => [
          `${100 + i}-n${i}.conf`,
          { name: `net${i}`, type: "bridge" },
        ]),
      ),
    );

  test.each<[string, Record<string, string>, object, string[]]>([
    ["the default network", {}, {}, ["100-n0.conf"]],
    ["default_plugin", {}, { default_plugin: "n250" }, ["350-n250.conf"]],
    ["a file key", { cni: "n250" }, {}, ["350-n250.conf"]],
    ["a base name", { cni: "350-n250" }, {}, ["350-n250.conf"]],
    [
      "several file keys",
      { cni: "n7,n250,n7" },
      {},
      ["107-n7.conf", "350-n250.conf"],
    ],
    ["the name default", { cni: "default" }, {}, ["100-n0.conf"]],
    [
      "an allowed network",
      { cni: "n250" },
      { allowedNetworks: ["n9", "n250"] },
      ["350-n250.conf", "100-n0.conf"],
    ],
  ])("%s: only those files are read", (_, annotations, config, reads) => {
    const networks = node300();
    select(annotations, config, { networks });
    expect(networks.reads).toEqual(reads);
  });

  test.each([
    ["a network's name", "net250"],
    ["another case", "N250"],
  ])("%s: every file is read once", (_, cni) => {
    const networks = node300();
    select({ cni }, {}, { networks });
    expect(networks.reads).toHaveLength(300);
  });
});

describe("parseChoice, names in files", () => {
  test.each([
    ["", "missing network name"],
    ["a b", 'invalid characters found in network name "a b"'],
  ])(
    "a file with the name %j is invalid: the next one is chosen",
    (name, text) => {
      const files = { "10-x.conf": { name, type: "ptp" } };
      const rest = { "20-x.conf": { name: "x", type: "macvlan" } };
      for (const annotations of [{}, { cni: "x" }]) {
        const networks = nodeNetworks({ ...files, ...rest });
        const [chosen] = select(annotations, {}, { networks });
        expect(chosen?.list.plugins).toMatchObject([{ type: "macvlan" }]);
        expect(() =>
          select(annotations, {}, { networks: nodeNetworks(files) }),
        ).toThrow(`; invalid: 10-x.conf (${text})`);
      }
    },
  );
});

describe("parseChoice, default-route", () => {
  const routed = (...gateways: string[][]) =>
    JSON.stringify(
      gateways.map((gateway, i) => ({
        name: `n${i}`,
        "default-route": gateway,
      })),
    );

  test("of two networks: refused", () => {
    const annotations = { [added]: routed(["10.0.0.1"], ["fd00::1"]) };
    expect(() => select(annotations)).toThrow(
      refusal(
        '"default-route" is requested for more than one network: ns/n0, ns/n1',
      ),
    );
  });

  test("comes with its attachment, one gateway of each family", () => {
    const annotations = { [added]: routed([], ["10.0.0.1", "fd00::1"]) };
    expect(select(annotations).map(({ extras }) => extras)).toEqual([
      undefined,
      undefined,
      { defaultRoute: ["10.0.0.1", "fd00::1"] },
    ]);
  });
});

describe("parseChoice, allowedNetworks", () => {
  const denied = (name: string, have: string) =>
    refusal(
      `network "${name}" is not allowed on this node: allowedNetworks has ${have}`,
    );

  test.each<[string, string[], string]>([
    ["one that is in it", ["weave"], "weave"],
    ["the same by another name of it", ["weave"], "weave-net"],
    ["the same in other case", ["WEAVE"], "weave"],
    ["the default network", ["weave"], "calico"],
    ["the default network, with nothing allowed", [], "calico"],
    ["one besides an entry that is no network", ["gone", "weave"], "weave"],
  ])("lets cni select %s", (_, allowedNetworks, cni) => {
    expect(select({ cni }, { allowedNetworks })).toHaveLength(1);
  });

  test.each<[string, string[], string]>([
    ["flannel", ["weave"], "weave"],
    ["flannel", ["weave", "gone"], "weave, gone"],
    ["flannel", [], "none"],
    ["Flannel", ["weave"], "weave"],
  ])("does not let cni select %s: %j", (cni, allowedNetworks, have) => {
    expect(() => select({ cni: `calico,${cni}` }, { allowedNetworks })).toThrow(
      denied(cni, have),
    );
  });

  test("allows every network of default_plugin", () => {
    const config = { default_plugin: "weave,flannel", allowedNetworks: [] };
    expect(select({ cni: "flannel,weave" }, config)).toHaveLength(2);
    expect(() => select({ cni: "calico" }, config)).toThrow(
      denied("calico", "none"),
    );
  });

  test("holds on a node without a default network", () => {
    const config = { default_plugin: "gone", allowedNetworks: ["weave"] };
    expect(names(select({ cni: "weave" }, config))).toEqual(["weave-net@eth0"]);
    expect(() => select({ cni: "flannel" }, config)).toThrow(
      denied("flannel", "weave"),
    );
  });
});

describe("formerAttachments", () => {
  const former = (
    annotations: Annotations,
    config: object = {},
    more: Partial<SelectionContext> = {},
  ) => ({ ...contextOf(config, more), annotations });

  test.each<[string, Parameters<typeof formerAttachments>[0], string[]]>([
    ["the default network", former({}), ["calico-net@eth0"]],
    ["nothing without one", former({}, {}, { networks: empty }), []],
    [
      "of several default networks the one on CNI_IFNAME",
      former({}, { default_plugin: "weave@net1,flannel" }),
      ["flannel-net@eth0"],
    ],
    [
      "no more than the default when cni does not resolve",
      former({ cni: "gone" }),
      ["calico-net@eth0"],
    ],
    [
      "the default network once when cni names it",
      former({ cni: "weave,default" }),
      ["calico-net@eth0", "weave-net@eth0"],
    ],
    [
      "the default network once when another one is called default",
      former({ cni: "weave,default" }, {}, { networks: withNamedDefault }),
      ["calico-net@eth0", "weave-net@eth0"],
    ],
    [
      "the networks of cni that exist, under the names of ADD",
      former({ cni: "weave,gone,flannel" }),
      ["calico-net@eth0", "weave-net@eth0", "flannel-net@eth2"],
    ],
    [
      "the networks of cni, also those not allowed today",
      former({ cni: "weave,flannel@net1" }, { allowedNetworks: [] }),
      expect.arrayContaining([
        "calico-net@eth0",
        "weave-net@eth0",
        "flannel-net@net1",
      ]),
    ],
  ])("are %s", (_, selection, expected) => {
    expect(names(formerAttachments(selection))).toEqual(expected);
  });

  test("have the request's CNI_ARGS, and the runtime's arguments on CNI_IFNAME", () => {
    const runtimeConfig = { portMappings: [{ hostPort: 80 }] };
    const selection = former({ cni: "weave@eth3" }, { runtimeConfig });
    expect(
      formerAttachments(selection).map(({ ifname, args, capabilityArgs }) => ({
        ifname,
        args,
        capabilityArgs,
      })),
    ).toEqual([
      {
        ifname: "eth0",
        args: "K8S_POD_NAME=p",
        capabilityArgs: runtimeConfig,
      },
      { ifname: "eth3", args: "K8S_POD_NAME=p", capabilityArgs: {} },
    ]);
  });
});

test.each<[boolean, Annotations]>([
  [true, { [added]: "" }],
  [true, { [byDefault]: "x" }],
  [false, { cni: "weave", networks: "x" }],
  [false, {}],
])("isNpwg, is %p for %j", (expected, annotations) => {
  expect(parseChoice(annotations, contextOf()).isNpwg).toBe(expected);
});

describe("ruleOf", () => {
  const networks = nodeNetworks({
    "10-canal.conf": { name: "net0", type: "type0" },
    "20-my-weave.conf": { name: "net1", type: "type1" },
    "30-Romana.conf": { name: "net2", type: "type2" },
  });
  test.each<[string, Annotations, object, string[]]>([
    [
      "no annotation",
      {},
      {},
      ['no annotation "cni": first network in /etc/cni/net.d'],
    ],
    [
      "a blank one",
      { cni: " " },
      {},
      ['annotation "cni" is blank: first network in /etc/cni/net.d'],
    ],
    [
      "default_plugin, two",
      {},
      { default_plugin: "my-weave,canal@eth3" },
      [
        'no annotation "cni": default_plugin names "my-weave": file key of "20-my-weave.conf"',
        'no annotation "cni": default_plugin names "canal": file key of "10-canal.conf"',
      ],
    ],
    [
      "the name default, alone",
      { cni: "default" },
      { default_plugin: "my-weave,canal@eth3" },
      [
        'annotation "cni" names "default": default_plugin names "my-weave": file key of "20-my-weave.conf"',
        'annotation "cni" names "default": default_plugin names "canal": file key of "10-canal.conf"',
      ],
    ],
    [
      "the name default in a list",
      { cni: "romana,default" },
      {},
      [
        'annotation "cni" names "romana": file key of "30-Romana.conf", ignoring case',
        'annotation "cni" names "default": first network in /etc/cni/net.d',
      ],
    ],
    [
      "each of the rules of a name",
      { cni: "canal,10-canal,net1,type2,romana,TYPE0" },
      {},
      [
        'annotation "cni" names "canal": file key of "10-canal.conf"',
        'annotation "cni" names "10-canal": file name of "10-canal.conf"',
        'annotation "cni" names "net1": network name of "20-my-weave.conf"',
        `annotation "cni" names "type2": first plugin's type of "30-Romana.conf"`,
        'annotation "cni" names "romana": file key of "30-Romana.conf", ignoring case',
        `annotation "cni" names "TYPE0": first plugin's type of "10-canal.conf", ignoring case`,
      ],
    ],
    [
      "definitions, after the networks of the node",
      { cni: "canal", [added]: "side,infra/trunk" },
      {},
      [
        'annotation "cni" names "canal": file key of "10-canal.conf"',
        'annotation "k8s.v1.cni.cncf.io/networks" adds definition "ns/side"',
        'annotation "k8s.v1.cni.cncf.io/networks" adds definition "infra/trunk"',
      ],
    ],
    [
      "a definition in place of the default network",
      { [byDefault]: "side" },
      {},
      [
        'annotation "v1.multus-cni.io/default-network" names definition "kube-system/side"',
      ],
    ],
  ])("%s", (_, annotations, config, expected) => {
    const choice = parseChoice(annotations, contextOf(config, { networks }));
    expect(choice.elements.map(ruleOf)).toEqual(expected);
  });
});
