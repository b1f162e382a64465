/** agent.md "Hot attach and detach": desired, actual and the steps between them. */
import { attachmentOf } from "../support/records.ts";
import type { V1Pod } from "@kubernetes/client-node";
import { describe, expect, test } from "bun:test";
import { desiredOf, isRunning } from "../../lib/agent/pods/desired.ts";
import { type Step, differenceOf } from "../../lib/agent/pods/difference.ts";
import type { TypedNames } from "../../lib/select/addition.ts";
import type { Annotations, Attachment } from "../../lib/select/attachment.ts";

const networksKey = "k8s.v1.cni.cncf.io/networks";
const defaultKey = "v1.multus-cni.io/default-network";

type Made = Partial<Attachment> & { network?: string };

/** `element` is of the attachment: `weave`, `weave@net1`, `shop/lan`, with requests behind. */
function at(
  ifname: string,
  element: string | undefined,
  more: Made & { requests?: Record<string, unknown> } = {},
): Attachment {
  const { network = "net", requests, ...rest } = more;
  const [path = "", named] = (element ?? "").split("@");
  const [name = "", namespace] = path.split("/").toReversed();
  return attachmentOf(network, ifname, {
    ...(element !== undefined && {
      element: {
        network: name,
        ...(namespace !== undefined && { namespace }),
        ...(named !== undefined && { interface: named }),
        ...(requests && { requests }),
      },
      ...(namespace !== undefined && { definition: path }),
    }),
    ...rest,
  });
}

/** A node with the default network canal; a name that is not here is that of a file, `gone` is of none. */
const node: TypedNames = {
  isDefault: (name) => name === "default",
  fileOf: (name) =>
    name.startsWith("gone")
      ? undefined
      : (files.get(name) ?? `10-${name}.conf`),
};
const files = new Map([
  ["default", "10-canal.conf"],
  ["canal-net", "10-canal.conf"],
  ["weave-net", "10-weave.conf"],
  ["Weave", "10-weave.conf"],
]);

const primary = at("eth0", undefined, { origin: "default", network: "canal" });

function told({ detach, attach }: Step): string {
  return [
    detach && `detach ${detach.ifname}`,
    attach && `attach ${attach.wanted.text} as ${attach.ifname}`,
  ]
    .filter(Boolean)
    .join(", ");
}

function steps(
  annotations: Annotations,
  attachments: Attachment[],
  incomplete: string[] = [],
): string[] {
  const record = { ifname: "eth0", attachments };
  const desired = desiredOf(annotations, "shop");
  return differenceOf(
    desired,
    record,
    (ifname) => !incomplete.includes(ifname),
    node,
  ).steps.map(told);
}

/** The attachments after all steps. */
function applied(
  annotations: Annotations,
  attachments: readonly Attachment[],
): Attachment[] {
  const desired = desiredOf(annotations, "shop");
  const record = { ifname: "eth0", attachments: [...attachments] };
  const after = [...attachments];
  for (const { detach, attach } of differenceOf(
    desired,
    record,
    () => true,
    node,
  ).steps) {
    if (detach) after.splice(after.indexOf(detach), 1);
    if (!attach) continue;
    const { wanted, ifname } = attach;
    expect(after.map((one) => one.ifname)).not.toContain(ifname);
    after.push({ ...at(ifname, undefined), element: wanted.element });
  }
  return after;
}

describe("differenceOf", () => {
  const ips = (...addresses: string[]) => ({ requests: { ips: addresses } });
  const json = (...elements: object[]) => JSON.stringify(elements);
  const cases: [string, Annotations, Attachment[], string[]][] = [
    ["nothing is named, nothing is there", {}, [primary], []],
    [
      "a network of the node is missing",
      { cni: "canal,weave" },
      [primary],
      ["attach weave as eth1"],
    ],
    [
      "a definition is missing: its namespace is the pod's, its name that of its place",
      { [networksKey]: "a/x@net7,lan" },
      [primary, at("net7", "a/x@net7")],
      ["attach shop/lan as net2"],
    ],
    [
      "the primary's name is for another network: the primary stays",
      { cni: "weave@eth0", [networksKey]: "lan" },
      [primary],
      ["attach shop/lan as net1"],
    ],
    [
      "the default network by that name is the primary, in a list too",
      { cni: "default,weave" },
      [primary],
      ["attach weave as eth1"],
    ],
    [
      "the default network by that name, with its interface",
      { cni: "weave,default@eth0" },
      [primary, at("eth1", "weave")],
      [],
    ],
    [
      "explicit names are reserved first",
      { [networksKey]: "lan,wan@net1" },
      [primary],
      ["attach shop/lan as net2", "attach shop/wan@net1 as net1"],
    ],
    [
      "nothing is named any more",
      {},
      [primary, at("net1", "shop/lan"), at("eth1", "weave")],
      ["detach eth1", "detach net1"],
    ],
    [
      "another order and another text: nothing",
      { cni: "weave,canal", [networksKey]: '[{"name":"b"},{"name":"a"}]' },
      [
        at("eth0", "canal"),
        at("eth1", "weave"),
        at("net1", "shop/a"),
        at("net2", "shop/b"),
      ],
      [],
    ],
    [
      "elements without interface name keep the recorded one, whatever their place",
      { [networksKey]: "b,a" },
      [primary, at("net1", "shop/a"), at("net2", "shop/b")],
      [],
    ],
    [
      "an element names its interface no longer, another one does: it gets another name",
      { [networksKey]: "lan,wan@pod1" },
      [primary, at("pod1", "shop/lan@pod1")],
      ["attach shop/lan as net1", "detach pod1, attach shop/wan@pod1 as pod1"],
    ],
    [
      "an element gets the name that it has already: nothing",
      { [networksKey]: "lan@net1" },
      [primary, at("net1", "shop/lan")],
      [],
    ],
    [
      "one that names the interface of an equal one has it, the equal one gets another",
      { cni: "default,canal@eth0", [networksKey]: "lan,lan@net1" },
      [primary, at("net1", "shop/lan")],
      ["attach default as eth1", "attach shop/lan as net2"],
    ],
    [
      "another interface name: attached before it is detached",
      { [networksKey]: "lan@net5" },
      [primary, at("net1", "shop/lan@net1")],
      ["attach shop/lan@net5 as net5", "detach net1"],
    ],
    [
      "the interface name of another network: detached before",
      { [networksKey]: "wan@net1,lan" },
      [primary, at("net1", "shop/old@net1")],
      ["detach net1, attach shop/wan@net1 as net1", "attach shop/lan as net2"],
    ],
    [
      "equal elements are counted: one more",
      { [networksKey]: "lan,lan,lan" },
      [primary, at("net1", "shop/lan"), at("net2", "shop/lan")],
      ["attach shop/lan as net3"],
    ],
    [
      "equal elements are counted: one less, the last goes",
      { [networksKey]: "lan,lan" },
      [
        primary,
        at("net1", "shop/lan"),
        at("net2", "shop/lan"),
        at("net3", "shop/lan"),
      ],
      ["detach net3"],
    ],
    [
      "equal elements, the primary is one of them",
      { cni: "weave" },
      [at("eth0", "weave"), at("eth1", "weave")],
      ["detach eth1"],
    ],
    [
      "other requests: detached, then attached under the same name",
      { [networksKey]: json({ name: "lan", ips: ["10.0.0.9"] }) },
      [primary, at("net1", "shop/lan", ips("10.0.0.8"))],
      ['detach net1, attach {"name":"lan","ips":["10.0.0.9"]} as net1'],
    ],
    [
      "no requests any more",
      { [networksKey]: "lan" },
      [primary, at("net1", "shop/lan", ips("10.0.0.8"))],
      ["detach net1, attach shop/lan as net1"],
    ],
    [
      "requests, equal by value",
      { [networksKey]: json({ ips: ["10.0.0.8"], name: "lan" }) },
      [primary, at("net1", "shop/lan", ips("10.0.0.8"))],
      [],
    ],
    [
      "requests of two elements are told apart",
      {
        [networksKey]: json(
          { name: "lan", ips: ["10.0.0.9"] },
          { name: "lan", ips: ["10.0.0.8"] },
        ),
      },
      [
        primary,
        at("net1", "shop/lan", ips("10.0.0.8")),
        at("net2", "shop/lan", ips("10.0.0.9")),
      ],
      [],
    ],
    [
      "the same name in another namespace",
      { [networksKey]: "a/lan" },
      [primary, at("net1", "shop/lan")],
      ["attach a/lan as net2", "detach net1"],
    ],
    [
      "a network of the node is no definition",
      { cni: "canal,lan" },
      [primary, at("net1", "shop/lan")],
      ["attach lan as eth1", "detach net1"],
    ],
    [
      "default, automatic, logical and auxiliary ones are never detached",
      {},
      [
        primary,
        at("eth1", undefined, { origin: "default" }),
        at("eth2", undefined, { origin: "automatic" }),
        at("eth3", undefined, { origin: "logical" }),
        at("eth0", undefined, { origin: "auxiliary" }),
      ],
      [],
    ],
    [
      "the default network, named later: it is there",
      { cni: "canal,weave" },
      [primary, at("eth1", undefined, { origin: "default", network: "weave" })],
      [],
    ],
    ["cni: default, alone", { cni: "default" }, [primary], []],
    [
      "default in a list is a name",
      { cni: "weave,default@eth3" },
      [at("eth0", "weave")],
      ["attach default@eth3 as eth3"],
    ],
    [
      "by hand: not detached",
      {},
      [primary, at("net1", "shop/lan", { origin: "hand" })],
      [],
    ],
    [
      "by hand and named: once",
      { [networksKey]: "lan" },
      [primary, at("net1", "shop/lan", { origin: "hand" })],
      [],
    ],
    [
      "by hand and named: the one of the annotation counts first",
      { [networksKey]: "lan" },
      [
        primary,
        at("net1", "shop/lan", { origin: "hand" }),
        at("net2", "shop/lan"),
      ],
      [],
    ],
    [
      "the primary is not touched",
      { cni: "weave" },
      [at("eth0", "canal")],
      ["attach weave as eth1"],
    ],
    [
      "the primary's requests have changed",
      { cni: "", [networksKey]: "" },
      [at("eth0", "shop/lan", ips("10.0.0.8"))],
      [],
    ],
    [
      "the primary's definition is named beside it, too: both are there",
      { [defaultKey]: "infra/lan", [networksKey]: "infra/lan" },
      [at("eth0", "infra/lan"), at("net1", "infra/lan")],
      [],
    ],
    [
      "a definition is the primary by its interface",
      { cni: "weave@x1", [networksKey]: "lan@eth0,lan" },
      [
        at("x1", "weave@x1"),
        at("eth0", "shop/lan@eth0"),
        at("net2", "shop/lan"),
      ],
      [],
    ],
    [
      "a definition is the primary no longer, and still named beside it",
      { [networksKey]: "infra/lan" },
      [at("eth0", "infra/lan"), at("net1", "infra/lan")],
      [],
    ],
    [
      "blank cni with logical networks: neither",
      { cni: "", networks: "net1" },
      [primary, at("eth1", undefined, { origin: "logical" })],
      [],
    ],
    [
      "a record before 0.2.0: a definition, whatever its requests were",
      { [networksKey]: json({ name: "lan", ips: ["10.0.0.9"] }) },
      [
        at("eth0", undefined, { network: "canal" }),
        at("net1", undefined, { definition: "shop/lan" }),
      ],
      [],
    ],
    [
      "a record before 0.2.0: a definition goes, a network of the node may be a default one",
      {},
      [
        at("eth0", undefined, { network: "canal" }),
        at("net1", undefined, { definition: "shop/lan" }),
        at("eth1", undefined, { requested: "weave" }),
      ],
      ["detach net1"],
    ],
    [
      "a record before 0.2.0: a network by its typed name",
      { cni: "canal,weave,flannel" },
      [
        at("eth0", undefined, { network: "canal" }),
        at("eth1", undefined, { requested: "weave" }),
      ],
      ["attach flannel as eth2"],
    ],
    [
      "a record before 0.2.0: a typed name leads to the network's CNI name",
      { cni: "canal,weave,flannel" },
      [
        at("eth0", undefined, { network: "canal-net" }),
        at("eth1", undefined, { network: "weave-net" }),
      ],
      ["attach flannel as eth2"],
    ],
    [
      "another of its names: nothing",
      { cni: "canal-net,Weave" },
      [at("eth0", "canal"), at("eth1", "weave")],
      [],
    ],
    [
      "a network of the same CNI name is another one",
      { cni: "calico,other" },
      [
        at("eth0", "calico", { network: "k8s-pod-network" }),
        at("eth1", "canal", { network: "k8s-pod-network" }),
      ],
      ["attach other as eth2", "detach eth1"],
    ],
    [
      "names of a network that is gone from the node: it is left",
      { cni: "canal,gone-net" },
      [primary, at("eth1", "gone")],
      [],
    ],
    [
      "one of two networks that are gone from the node",
      { cni: "canal,gone-b" },
      [primary, at("eth1", "gone-a"), at("eth2", "gone-b")],
      ["detach eth1"],
    ],
    [
      "one of two networks that are gone, which named its interface",
      { cni: "canal,gone-b" },
      [primary, at("eth1", "gone-a"), at("eth2", "gone-b@eth2")],
      ["detach eth1"],
    ],
    [
      "the primary was named, and now as the default network",
      { cni: "default,weave" },
      [at("eth0", "canal")],
      ["attach weave as eth1"],
    ],
    [
      "the primary was named default, and now by its name",
      { cni: "canal,weave" },
      [at("eth0", "default"), at("eth1", "weave")],
      [],
    ],
    [
      "the default network beside the primary, and now alone",
      { cni: "default" },
      [at("eth0", "canal"), at("eth1", "default")],
      ["detach eth1"],
    ],
  ];
  test.each(cases)("%s", (_, annotations, attachments, expected) => {
    expect(steps(annotations, attachments)).toEqual(expected);
    const after = applied(annotations, attachments);
    expect(steps(annotations, after)).toEqual([]);
  });

  test("an attachment without a result is attached again, or detached", () => {
    const there = [primary, at("net1", "shop/lan"), at("net2", "shop/wan")];
    expect(steps({ [networksKey]: "lan" }, there, ["net1", "net2"])).toEqual([
      "attach shop/lan as net1",
      "detach net2",
    ]);
  });

  test("an attachment whose detach has begun is attached again, or detached", () => {
    const there = [primary, at("net1", "shop/lan", { detaching: true })];
    expect(steps({ [networksKey]: "lan" }, there)).toEqual([
      "attach shop/lan as net1",
    ]);
    expect(steps({}, there)).toEqual(["detach net1"]);
  });

  test("the elements that are kept", () => {
    const desired = desiredOf({ cni: "weave,canal@eth1" }, "shop");
    const attachments = [at("eth0", "weave"), at("eth1", "canal@eth1")];
    const { kept } = differenceOf(
      desired,
      { ifname: "eth0", attachments },
      () => true,
      node,
    );
    expect(
      kept.map(({ wanted, attachment }) => [wanted.text, attachment.ifname]),
    ).toEqual([
      ["weave", "eth0"],
      ["canal@eth1", "eth1"],
    ]);
  });
});

test("differenceOf, a network of the node that is called default is not the default one", () => {
  const desired = desiredOf({ cni: "canal,default" }, "shop");
  const record = { ifname: "eth0", attachments: [primary] };
  const { steps: found } = differenceOf(desired, record, () => true, {
    isDefault: () => false,
    fileOf: (name) => `10-${name}.conf`,
  });
  expect(found.map(told)).toEqual(["attach default as eth1"]);
});

describe("differenceOf, whether the primary is another one", () => {
  const cases: [string, Annotations, Attachment, boolean][] = [
    ["the default network, nothing is named", {}, primary, false],
    ["the default network, named", { cni: "canal" }, primary, false],
    ["another one is named", { cni: "weave" }, primary, true],
    ["cni: default", { cni: "default" }, primary, false],
    ["definitions only add", { [networksKey]: "lan" }, primary, false],
    ["its name is for another", { [networksKey]: "lan@eth0" }, primary, true],
    [
      "its name, of a definition",
      { cni: "a@x1", [networksKey]: "lan@eth0" },
      at("eth0", "shop/lan@eth0"),
      false,
    ],
    ["its name, and it is it", { cni: "b@eth0" }, at("eth0", "b@eth0"), false],
    [
      "named, behind another of it",
      { cni: "b,b@eth0" },
      at("eth0", "b"),
      false,
    ],
    ["named, and still", { cni: "a,b" }, at("eth0", "b"), false],
    ["named, and no longer", { cni: "a" }, at("eth0", "b"), true],
    ["named, and nothing is", {}, at("eth0", "b"), true],
    ["named, and now the default", { cni: "default" }, at("eth0", "b"), true],
    ["named, the default one", { cni: "default" }, at("eth0", "canal"), false],
    [
      "a definition, and still",
      { [defaultKey]: "infra/lan" },
      at("eth0", "infra/lan"),
      false,
    ],
    [
      "a definition, without its namespace",
      { [defaultKey]: "lan" },
      at("eth0", "kube-system/lan"),
      false,
    ],
    [
      "another definition",
      { [defaultKey]: "infra/wan" },
      at("eth0", "infra/lan"),
      true,
    ],
    ["a definition, and no longer", {}, at("eth0", "infra/lan"), true],
    [
      "a record before 0.2.0, nothing is named",
      {},
      at("eth0", undefined, { network: "canal" }),
      false,
    ],
  ];
  test.each(cases)("%s", (_, annotations, attachment, expected) => {
    const record = { ifname: "eth0", attachments: [attachment] };
    const desired = desiredOf(annotations, "shop");
    const { isPrimaryOther } = differenceOf(desired, record, () => true, node);
    expect(isPrimaryOther).toBe(expected);
  });
});

describe("desiredOf, what an ADD would refuse", () => {
  test.each<[Annotations, string]>([
    [{ cni: "a,,b" }, "empty network name"],
    [{ cni: "a@lo" }, "loopback interface"],
    [{ [networksKey]: "[{" }, 'annotation "k8s.v1.cni.cncf.io/networks"'],
    [{ [networksKey]: '[{"name":"A B"}]' }, "name"],
    [
      { cni: "a@x1", [networksKey]: "lan@x1" },
      'repeated request for interface name "x1"',
    ],
    [
      {
        [networksKey]:
          '[{"name":"a","default-route":["10.0.0.1"]},{"name":"b","default-route":["10.0.0.1"]}]',
      },
      "more than one network",
    ],
    [{ [defaultKey]: "a", cni: "b" }, "exclude each other"],
    [{ [defaultKey]: "a,b" }, "names more than one network"],
    [{ [networksKey]: "a".padEnd(63, ",a") }, "more than 32 networks"],
    [
      { cni: "a".padEnd(39, ",a"), [networksKey]: "a".padEnd(39, ",a") },
      "more than 32 networks",
    ],
    [{ [defaultKey]: "a//b" }, 'annotation "v1.multus-cni.io/default-network"'],
  ])("%j", (annotations, problem) => {
    expect(() => desiredOf(annotations, "shop")).toThrow(problem);
  });

  const taken = 'repeated request for interface name "net0"';
  test.each<[Annotations, string | undefined]>([
    [{ [networksKey]: "s1@net0,s2" }, taken],
    [{ cni: "", [networksKey]: "s1@net0,s2" }, taken],
    [{ cni: "a,b", [networksKey]: "s1@net0" }, taken],
    [{ [defaultKey]: "a", [networksKey]: "s1@net0" }, taken],
    [
      { [defaultKey]: "a@x1", [networksKey]: "s1" },
      'asks for interface "x1": the default network is attached as net0',
    ],
    [{ [defaultKey]: "a@net0", [networksKey]: "s1" }, undefined],
    // The first network is elsewhere, or nobody knows where.
    [{ cni: "a@x1", [networksKey]: "s1@net0" }, undefined],
    [{ cni: "a@net0", [networksKey]: "s1" }, undefined],
    [{ cni: "", networks: "l1@x1", [networksKey]: "s1@net0" }, undefined],
    // The primary stays, the others change.
    [{ cni: "a@x1" }, undefined],
    [{ [networksKey]: "s1@eth0" }, undefined],
  ])("%j on a pod whose primary is net0", (annotations, problem) => {
    const desired = () => desiredOf(annotations, "shop", "net0");
    if (problem === undefined) expect(desired).not.toThrow();
    else expect(desired).toThrow(problem);
  });
});

test.each<[string, V1Pod, boolean]>([
  ["running", { status: { phase: "Running" } }, true],
  ["waiting for its images", { status: { phase: "Pending" } }, true],
  ["has succeeded", { status: { phase: "Succeeded" } }, false],
  ["has failed", { status: { phase: "Failed" } }, false],
  [
    "is being deleted",
    {
      metadata: { deletionTimestamp: new Date() },
      status: { phase: "Running" },
    },
    false,
  ],
  [
    "has the host's network",
    {
      spec: { hostNetwork: true, containers: [] },
      status: { phase: "Running" },
    },
    false,
  ],
])("isRunning, a pod that %s", (_, pod, expected) => {
  expect(isRunning(pod)).toBe(expected);
});
