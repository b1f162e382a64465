/** selection.md §2, §3, §5: annotations and configuration in, attachments out. */
import { describe, expect, test } from "bun:test";
import { parseConf, parseConfList } from "../../lib/cni/conflist.ts";
import { type GenieConfig, readConfig } from "../../lib/select/config.ts";
import { formerAttachments } from "../../lib/attach/unrecorded.ts";
import {
  type RequestedNetwork,
  type Selection,
  asksForDefinitions,
  defaultNetworks,
  displayName,
  isWrittenBack,
  selectAttachments,
} from "../../lib/select/select.ts";
import { nodeNetworks } from "./networks.ts";

const cniVersion = "1.0.0";
const node = nodeNetworks({
  "05-lo.conf": { cniVersion, name: "lo-net", type: "loopback" },
  "10-calico.conf": { cniVersion, name: "calico-net", type: "calico" },
  "20-flannel.conf": { cniVersion, name: "flannel-net", type: "flannel" },
  "30-weave.conf": { cniVersion, name: "weave-net", type: "weave" },
});

const empty = nodeNetworks({});

function selection(
  annotations: Readonly<Record<string, string>>,
  config: object = {},
  more: Partial<Selection> = {},
): Selection {
  return {
    annotations,
    config: readConfig(config),
    networks: node,
    ifname: "eth0",
    args: "K8S_POD_NAME=p",
    ...more,
  };
}

/** `calico-net@eth0` of each attachment, in order. */
const names = (attachments: ReturnType<typeof selectAttachments>) =>
  attachments.map(({ list, ifname }) => `${list.name}@${ifname}`);

const problem = (message: unknown): unknown =>
  expect.objectContaining({ name: "CniError", code: 7, message });

/** A network of a NetworkAttachmentDefinition. */
const definition = (name: string, ifname?: string): RequestedNetwork => ({
  list: parseConfList({
    name,
    cniVersion: "1.0.0",
    plugins: [{ type: "macvlan" }],
  }),
  definition: `ns/${name}`,
  ...(ifname !== undefined && { ifname }),
});

describe("selectAttachments", () => {
  test("gives network, interface, CNI_ARGS and the runtime's arguments, these to the primary", () => {
    const runtimeConfig = { portMappings: [{ hostPort: 80 }], mac: null };
    const chosen = selection({ cni: "weave@net1,flannel" }, { runtimeConfig });
    expect(selectAttachments(chosen)).toEqual([
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
      },
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
    const chosen = selection(cni === undefined ? {} : { cni }, config);
    expect(selectAttachments(chosen).map(displayName)).toEqual([name]);
  });

  test("displayName, of a definition its own name", () => {
    const { list } = definition("cbr0");
    expect(displayName({ list, definition: "shop/storage" })).toBe("storage");
    expect(displayName({ list })).toBe("cbr0");
  });

  test("is the same for the same inputs", () => {
    const chosen = selection({ cni: "weave,flannel,calico@eth1" });
    expect(selectAttachments(chosen)).toEqual(selectAttachments(chosen));
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
      "b: cni is absent, networks is somebody else's",
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
    expect(names(selectAttachments(selection(annotations)))).toEqual(expected);
  });

  test("rule c: logical networks are refused, naming the annotation", () => {
    const asked = selection({ cni: " ", networks: "blue" });
    expect(() => selectAttachments(asked)).toThrow(
      problem(
        'annotation "networks" with an empty annotation "cni" asks for logical networks, which are not supported: "blue"',
      ),
    );
  });

  test("reads annotations by own property", () => {
    const inherited: Readonly<Record<string, string>> = Object.create({
      cni: "weave",
    }) as Record<string, string>;
    expect(names(selectAttachments(selection(inherited)))).toEqual([
      "calico-net@eth0",
    ]);
  });

  test.each<[string, string]>([
    ["weave@eth4", "eth4"],
    ["weave@eth4,flannel@net1", "eth4, net1"],
  ])("refuses %s, which leaves out CNI_IFNAME", (cni, have) => {
    expect(() => selectAttachments(selection({ cni }))).toThrow(
      problem(
        `no network is attached as eth0 (CNI_IFNAME), where the runtime looks for the pod's address: have ${have}`,
      ),
    );
  });

  test("refuses an interface that is asked for twice", () => {
    const asked = selection({ cni: "weave@eth1,flannel@eth1,calico" });
    expect(() => selectAttachments(asked)).toThrow(
      problem('repeated request for interface name "eth1"'),
    );
  });

  test.each<[string, string]>([
    [
      "foo",
      'no network "foo" in /etc/cni/net.d: have lo, calico, flannel, weave',
    ],
    [
      "weave,genie",
      'no network "genie" in /etc/cni/net.d: have lo, calico, flannel, weave',
    ],
    [
      "weave,",
      'failed to parse annotation "cni" "weave,": element 2: empty network name',
    ],
  ])("refuses %s", (cni, text) => {
    expect(() => selectAttachments(selection({ cni }))).toThrow(problem(text));
  });

  test("takes 32 networks and no more, both annotations together", () => {
    const cni = Array(31).fill("weave").join(",");
    const added = [definition("a"), definition("b")];
    const select = (count: number) =>
      selectAttachments(
        selection({ cni }, {}, { added: added.slice(0, count) }),
      );
    expect(select(1)).toHaveLength(32);
    expect(() => select(2)).toThrow(
      problem("more than 32 networks are requested"),
    );
  });
});

describe("selectAttachments, the default network", () => {
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
    expect(names(selectAttachments(selection({}, config)))).toEqual(expected);
  });

  test("is an error when there is none", () => {
    const none = selection({}, {}, { networks: empty });
    expect(() => selectAttachments(none)).toThrow(
      problem(
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
      "a@b@c",
      'failed to parse configuration key "default_plugin" "a@b@c": element 1: more than one @',
    ],
    [
      "weave@net7",
      "no network is attached as eth0 (CNI_IFNAME), where the runtime looks for the pod's address: have net7",
    ],
  ])("is an error when default_plugin is %s", (default_plugin, text) => {
    const asked = selection({}, { default_plugin });
    expect(() => selectAttachments(asked)).toThrow(problem(text));
  });

  test("does not matter to a pod that chooses", () => {
    const asked = selection({ cni: "weave" }, { default_plugin: "gone" });
    expect(names(selectAttachments(asked))).toEqual(["weave-net@eth0"]);
  });

  test("is what a definition says instead", () => {
    const defaultNetwork = definition("blue");
    const asked = selection({}, { default_plugin: "gone" }, { defaultNetwork });
    expect(names(selectAttachments(asked))).toEqual(["blue@eth0"]);
  });

  test("cannot be said by a definition and chosen by cni", () => {
    const asked = selection(
      { cni: "weave" },
      {},
      { defaultNetwork: definition("blue") },
    );
    expect(() => selectAttachments(asked)).toThrow(
      problem(
        'annotations "cni" and "v1.multus-cni.io/default-network" exclude each other',
      ),
    );
  });

  test("has no interface but CNI_IFNAME", () => {
    const select = (ifname: string) =>
      selectAttachments(
        selection({}, {}, { defaultNetwork: definition("blue", ifname) }),
      );
    expect(names(select("eth0"))).toEqual(["blue@eth0"]);
    expect(() => select("net1")).toThrow(
      problem(
        'annotation "v1.multus-cni.io/default-network" asks for interface "net1": the default network is attached as eth0 (CNI_IFNAME)',
      ),
    );
  });
});

describe("selectAttachments, networks of definitions", () => {
  test.each<
    [string, Readonly<Record<string, string>>, RequestedNetwork[], string[]]
  >([
    [
      "come after the default",
      {},
      [definition("a"), definition("b")],
      ["calico-net@eth0", "a@net1", "b@net2"],
    ],
    [
      "come after those of cni",
      { cni: "weave,flannel" },
      [definition("a")],
      ["weave-net@eth0", "flannel-net@eth1", "a@net1"],
    ],
    [
      "are named by their position among themselves",
      {},
      [definition("a", "x"), definition("b"), definition("c")],
      ["calico-net@eth0", "a@x", "b@net2", "c@net3"],
    ],
    [
      "step aside for names that are asked for, of both annotations",
      { cni: "weave,flannel@net1" },
      [
        definition("a"),
        definition("b", "net3"),
        definition("c"),
        definition("d"),
      ],
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
      "make unnamed ones of cni step aside",
      { cni: "weave,flannel" },
      [definition("a", "eth1")],
      ["weave-net@eth0", "flannel-net@eth2", "a@eth1"],
    ],
  ])("%s", (_, annotations, added, expected) => {
    const asked = selection(annotations, {}, { added });
    expect(names(selectAttachments(asked))).toEqual(expected);
  });

  test.each<[string, Record<string, string>]>([
    ["the default network", {}],
    ["a network of cni", { cni: "weave,flannel@eth1" }],
  ])(
    "cannot have CNI_IFNAME beside %s: what replaces it is told",
    (_, annotations) => {
      const added = [definition("a", "eth0")];
      expect(() =>
        selectAttachments(selection(annotations, {}, { added })),
      ).toThrow(
        problem(
          'repeated request for interface name "eth0", which the pod\'s primary network has: annotation "v1.multus-cni.io/default-network" replaces that network',
        ),
      );
    },
  );

  test("can be the primary where cni leaves CNI_IFNAME to it", () => {
    const added = [definition("a", "eth0")];
    const asked = selection({ cni: "weave@eth1" }, {}, { added });
    expect(names(selectAttachments(asked))).toEqual([
      "weave-net@eth1",
      "a@eth0",
    ]);
  });

  test("cannot have an interface that another one has", () => {
    const asked = selection(
      { cni: "weave,flannel@net1" },
      {},
      { added: [definition("a", "net1")] },
    );
    expect(() => selectAttachments(asked)).toThrow(
      problem('repeated request for interface name "net1"'),
    );
  });
});

describe("selectAttachments, the name default", () => {
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
    expect(names(selectAttachments(selection({ cni }, config)))).toEqual(
      expected,
    );
  });

  test("is a file's where there is one with that key", () => {
    const networks = nodeNetworks({
      "10-calico.conf": { name: "calico-net", type: "calico" },
      "20-default.conf": { name: "other", type: "ptp" },
    });
    const chosen = selection({ cni: "default" }, {}, { networks });
    expect(names(selectAttachments(chosen))).toEqual(["other@eth0"]);
  });

  test("is no network's name or type, and in no other case", () => {
    const networks = nodeNetworks({
      "10-calico.conf": { name: "calico-net", type: "calico" },
      "20-x.conf": { name: "default", type: "default" },
      "30-default.conf": "unexpected end of JSON input",
    });
    const chosen = (cni: string) =>
      names(selectAttachments(selection({ cni }, {}, { networks })));
    expect(chosen("default")).toEqual(["calico-net@eth0"]);
    expect(chosen("Default")).toEqual(["default@eth0"]);
  });

  test.each(["default,calico", "calico,default", "default@eth0"])(
    "refuses %s where there are several default networks",
    (cni) => {
      expect(() => selectAttachments(selection({ cni }, two))).toThrow(
        problem(
          'annotation "cni": network "default" stands for 2 networks on this node, which can only be requested alone and without an interface name',
        ),
      );
    },
  );
});

describe("selectAttachments, plugins that serve a container once", () => {
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
  const choose = (cni: string, config: object = {}, more = {}) =>
    selectAttachments(selection({ cni }, config, { networks, ...more }));

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
      problem(
        `networks ${both} both use plugin "${type}", which serves a container once: ${reason}`,
      ),
    );
  });

  test("counts the networks of definitions", () => {
    const added = [
      {
        list: parseConf({ name: "d", type: "flannel" }),
        definition: "shop/lan",
      },
    ];
    expect(() => choose("flannel", {}, { added })).toThrow(
      problem(expect.stringContaining('"flannel" (eth0) and "lan" (net1)')),
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
    ).toThrow(problem(expect.stringContaining(calico)));
  });
});

describe("selectAttachments, the cost of a choice", () => {
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
    selectAttachments(selection(annotations, config, { networks }));
    expect(networks.reads).toEqual(reads);
  });

  test.each([
    ["a network's name", "net250"],
    ["another case", "N250"],
  ])("%s: every file is read once", (_, cni) => {
    const networks = node300();
    selectAttachments(selection({ cni }, {}, { networks }));
    expect(networks.reads).toHaveLength(300);
  });
});

describe("selectAttachments, names in files", () => {
  test.each([
    ["", "missing network name"],
    ["a b", 'invalid characters found in network name "a b"'],
  ])("a name %j is an error 7 that names the file", (name, text) => {
    const networks = nodeNetworks({ "10-x.conf": { name, type: "ptp" } });
    const message = `network configuration /etc/cni/net.d/10-x.conf: ${text}`;
    for (const annotations of [{}, { cni: "x" }])
      expect(() =>
        selectAttachments(selection(annotations, {}, { networks })),
      ).toThrow(problem(message));
  });
});

describe("selectAttachments, default-route", () => {
  const routed = (name: string, ...defaultRoute: string[]) => ({
    ...definition(name),
    asked: { defaultRoute },
  });

  test.each<[string, RequestedNetwork[], string]>([
    [
      "of two networks",
      [routed("a", "10.0.0.1"), routed("b", "fd00::1")],
      '"default-route" is requested for more than one network: ns/a, ns/b',
    ],
  ])("is refused: %s", (_, added, text) => {
    const asked = selection({}, {}, { added });
    expect(() => selectAttachments(asked)).toThrow(problem(text));
  });

  test("comes with its attachment, one gateway of each family", () => {
    const added = [definition("a"), routed("b", "10.0.0.1", "fd00::1")];
    const attachments = selectAttachments(selection({}, {}, { added }));
    expect(attachments.map(({ asked }) => asked)).toEqual([
      undefined,
      undefined,
      { defaultRoute: ["10.0.0.1", "fd00::1"] },
    ]);
  });
});

describe("selectAttachments, allowedNetworks", () => {
  const denied = (name: string, have: string) =>
    problem(
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
    const asked = selection({ cni }, { allowedNetworks });
    expect(selectAttachments(asked)).toHaveLength(1);
  });

  test.each<[string, string[], string]>([
    ["flannel", ["weave"], "weave"],
    ["flannel", ["weave", "gone"], "weave, gone"],
    ["flannel", [], "none"],
    ["Flannel", ["weave"], "weave"],
  ])("does not let cni select %s: %j", (cni, allowedNetworks, have) => {
    const asked = selection({ cni: `calico,${cni}` }, { allowedNetworks });
    expect(() => selectAttachments(asked)).toThrow(denied(cni, have));
  });

  test("allows every network of default_plugin", () => {
    const config = { default_plugin: "weave,flannel", allowedNetworks: [] };
    expect(
      selectAttachments(selection({ cni: "flannel,weave" }, config)),
    ).toHaveLength(2);
    expect(() =>
      selectAttachments(selection({ cni: "calico" }, config)),
    ).toThrow(denied("calico", "none"));
  });

  test("holds on a node without a default network", () => {
    const config = { default_plugin: "gone", allowedNetworks: ["weave"] };
    expect(
      names(selectAttachments(selection({ cni: "weave" }, config))),
    ).toEqual(["weave-net@eth0"]);
    expect(() =>
      selectAttachments(selection({ cni: "flannel" }, config)),
    ).toThrow(denied("flannel", "weave"));
  });
});

test.each<[string, GenieConfig, string[]]>([
  ["the first network", readConfig({}), ["calico-net"]],
  [
    "those of default_plugin",
    readConfig({ default_plugin: "weave,flannel" }),
    ["weave-net", "flannel-net"],
  ],
])("defaultNetworks, are %s", (_, config, expected) => {
  expect(defaultNetworks(config, node).map(({ list }) => list.name)).toEqual(
    expected,
  );
});

describe("formerAttachments", () => {
  test.each<[string, Selection, string[]]>([
    ["the default network", selection({}), ["calico-net@eth0"]],
    ["nothing without one", selection({}, {}, { networks: empty }), []],
    [
      "of several default networks the one on CNI_IFNAME",
      selection({}, { default_plugin: "weave@net1,flannel" }),
      ["flannel-net@eth0"],
    ],
    [
      "no more than the default when cni does not resolve",
      selection({ cni: "gone" }),
      ["calico-net@eth0"],
    ],
    [
      "the default network once when cni names it",
      selection({ cni: "weave,default" }),
      ["calico-net@eth0", "weave-net@eth0"],
    ],
    [
      "what resolves of cni, under the name that ADD gave it",
      selection({ cni: "weave,gone,flannel" }),
      ["calico-net@eth0", "weave-net@eth0", "flannel-net@eth2"],
    ],
    [
      "what cni names, whatever is allowed today",
      selection({ cni: "weave,flannel@net1" }, { allowedNetworks: [] }),
      expect.arrayContaining([
        "calico-net@eth0",
        "weave-net@eth0",
        "flannel-net@net1",
      ]),
    ],
  ])("are %s", (_, former, expected) => {
    expect(names(formerAttachments(former))).toEqual(expected);
  });

  test("have the request's CNI_ARGS, and the runtime's arguments on CNI_IFNAME", () => {
    const runtimeConfig = { portMappings: [{ hostPort: 80 }] };
    const former = selection({ cni: "weave@eth3" }, { runtimeConfig });
    expect(
      formerAttachments(former).map(({ ifname, args, capabilityArgs }) => ({
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

test.each<[boolean, number, Readonly<Record<string, string>>]>([
  [false, 1, { cni: "weave" }],
  [true, 1, { "k8s.v1.cni.cncf.io/networks": "" }],
  [true, 2, { cni: "weave,weave" }],
])("isWrittenBack, is %p for %d attachments of %j", (expected, count, said) => {
  const [one] = selectAttachments(selection({ cni: "weave" }));
  const attachments = Array.from({ length: count }, () => one).filter(
    (attachment) => attachment !== undefined,
  );
  expect(isWrittenBack(attachments, said)).toBe(expected);
});

test.each<[boolean, Readonly<Record<string, string>>]>([
  [true, { "k8s.v1.cni.cncf.io/networks": "" }],
  [true, { "v1.multus-cni.io/default-network": "x" }],
  [false, { cni: "weave", networks: "x" }],
  [false, {}],
])("asksForDefinitions, is %p for %j", (expected, annotations) => {
  expect(asksForDefinitions(annotations)).toBe(expected);
});
