/** selection.md §4 and §5: from a name to a file of the node. */
import { describe, expect, test } from "bun:test";
import { readConfDir } from "../../lib/cni/confdir.ts";
import {
  type Networks,
  fileKey,
  findByName,
  findNetwork,
  networksOf,
  requireNetwork,
} from "../../lib/select/node-networks.ts";
import { firstNetwork } from "../../lib/select/default-network.ts";
import { temporaryDirectory, writeFiles } from "../support/delegate.ts";
import { type Files, nodeNetworks } from "./networks.ts";
import { errorOf, refusal } from "../support/cni-error.ts";

const conf = (type: string, name = `${type}-name`) => ({
  cniVersion: "1.0.0",
  name,
  type,
});
const list = (name: string, ...types: string[]) => ({
  cniVersion: "1.0.0",
  name,
  plugins: types.map((type) => ({ type })),
});

/** The networks of a directory with these files, as `/etc/cni/net.d`. */
function networks(
  files: Readonly<Record<string, unknown>>,
  ownTypes: readonly string[] = ["genie"],
): Networks {
  using directory = temporaryDirectory();
  writeFiles(directory.path, files);
  return networksOf("/etc/cni/net.d", readConfDir(directory.path), ownTypes);
}

test.each([
  ["10-weave.conf", "weave"],
  ["10-a-b.conflist", "a-b"],
  ["a-b.conf", "b"],
  ["solo.conf", "solo"],
  ["-dash.conf", "-dash"],
  ["--x.conf", "--x"],
  ["00-.conf", ""],
  ["my-plugin.conf", "plugin"],
  ["10-a.b.conf", "a.b"],
  ["a.b-c.json", "c"],
])("fileKey, of %s is %s", (file, key) => {
  expect(fileKey(file)).toBe(key);
});

describe("networksOf", () => {
  test("tells candidates from invalid files", () => {
    const found = networks({ "10-a.conf": conf("a"), "20-b.conf": "{" });
    const { confDir, candidates, invalid } = found;
    expect({ confDir, candidates, invalid }).toEqual({
      confDir: "/etc/cni/net.d",
      candidates: [
        {
          file: "10-a.conf",
          key: "a",
          list: expect.objectContaining({ name: "a-name" }),
        },
      ],
      invalid: [
        {
          file: "20-b.conf",
          problem:
            "error parsing configuration: unexpected end of JSON input at line 1, column 2",
        },
      ],
    });
  });

  test("leaves out every file that would execute us", () => {
    const delegating = (key: string, value: unknown) => ({
      ...conf("multus"),
      [key]: value,
    });
    const found = networks(
      {
        "00-genie.conf": conf("genie"),
        "01-renamed.conf": conf("cni-genie"),
        "02-second.conflist": list("n", "bridge", "genie"),
        "03-delegates.conf": delegating("delegates", [
          conf("a"),
          conf("genie"),
        ]),
        "04-delegate.conf": delegating("delegate", conf("genie")),
        "05-deep.conf": delegating("delegates", [
          { type: "b", delegate: conf("genie") },
        ]),
        "06-lists.conf": delegating("delegates", [list("n", "genie")]),
        "07-any-case.conf": delegating("Delegate", { TYPE: "genie" }),
        "08-ipam.conf": delegating("ipam", conf("genie")),
        "10-other.conf": delegating("delegates", [conf("a")]),
        "11-name.conf": conf("bridge", "genie"),
        "12-case.conf": conf("Genie"),
      },
      ["genie", "cni-genie"],
    );
    expect(found.candidates.map(({ file }) => file)).toEqual([
      "10-other.conf",
      "11-name.conf",
      "12-case.conf",
    ]);
  });
});

describe("findNetwork", () => {
  const node = networks({
    "05-flannel-old.conf": conf("weave-net", "calico"),
    "10-weave.conf": conf("weave-net", "weave"),
    "20-a-b.conflist": list("net-b", "bridge", "portmap"),
    "30-a-b.conf": conf("macvlan", "dup"),
    "40-Romana.json": conf("romana-type", "pods"),
    "50-k8s.conf": conf("flannel", "cbr0"),
    "60-CBR0.conf": conf("upper", "UPPER"),
    "my-plugin.conf": conf("mine"),
    "plugin2.conf": conf("calico"),
    "solo.conflist": list("only", "ptp"),
  });

  test.each<[string, string, string | undefined]>([
    ["the file key", "weave", "10-weave.conf"],
    ["a file key with a dash", "a-b", "20-a-b.conflist"],
    ["a file key without a prefix", "solo", "solo.conflist"],
    ["the file key of a name with a dash", "plugin", "my-plugin.conf"],
    ["the whole base name", "my-plugin", "my-plugin.conf"],
    ["the whole base name of one with the same key", "30-a-b", "30-a-b.conf"],
    ["the network's name", "dup", "30-a-b.conf"],
    ["the name before a type", "calico", "05-flannel-old.conf"],
    ["the type of the first plugin", "bridge", "20-a-b.conflist"],
    ["the first file of a type", "weave-net", "05-flannel-old.conf"],
    ["the type, although a key begins so", "flannel", "50-k8s.conf"],
    ["no type of a second plugin", "portmap", undefined],
    ["the file key, ignoring case", "romana", "40-Romana.json"],
    ["the file key, ignoring case both ways", "ROMANA", "40-Romana.json"],
    ["the name as written before a key in other case", "cbr0", "50-k8s.conf"],
    ["the key as written", "CBR0", "60-CBR0.conf"],
    ["the name, ignoring case", "Pods", "40-Romana.json"],
    ["the type, ignoring case", "Flannel", "50-k8s.conf"],
    ["nothing else", "foo", undefined],
    ["no file name with its extension", "solo.conflist", undefined],
    ["no part of a key", "weav", undefined],
  ])("finds %s: %s", (_, name, file) => {
    expect(findNetwork(node, name)?.file).toBe(file);
  });

  test("looks past an invalid file for the next rule", () => {
    const found = networks({
      "10-weave.conf": "{",
      "20-x.conf": conf("bridge", "weave"),
    });
    expect(findNetwork(found, "weave")?.file).toBe("20-x.conf");
  });

  test("does not find ourselves", () => {
    const found = networks({ "00-genie.conf": conf("genie", "genie") });
    expect(findNetwork(found, "genie")).toBeUndefined();
  });
});

describe("requireNetwork", () => {
  const node = {
    "10-calico.conflist": list("k8s-pod-network", "calico"),
    "20-flannel.conf": conf("flannel"),
    "30-weave.conf": conf("weave-net"),
    "00-genie.conf": conf("genie"),
  };

  test("gives the network", () => {
    expect(requireNetwork(networks(node), "flannel").list.plugins).toEqual([
      conf("flannel"),
    ]);
  });

  test("lists the file keys", () => {
    expect(() => requireNetwork(networks(node), "foo")).toThrow(
      refusal(
        'no network "foo" in /etc/cni/net.d: have calico, flannel, weave',
      ),
    );
  });

  test("says the same of ourselves", () => {
    expect(() => requireNetwork(networks(node), "genie")).toThrow(
      refusal(
        'no network "genie" in /etc/cni/net.d: have calico, flannel, weave',
      ),
    );
  });

  test("says that there is nothing", () => {
    expect(() => requireNetwork(networks({}), "foo")).toThrow(
      refusal('no network "foo" in /etc/cni/net.d: have none'),
    );
  });

  test("lists invalid files with the reason", () => {
    const files = { ...node, "40-foo.conf": "{}", "50-bar.conflist": "[" };
    const { message } = errorOf(() => requireNetwork(networks(files), "foo"));
    expect(message).toBe(
      'no network "foo" in /etc/cni/net.d: have calico, flannel, weave; invalid: ' +
        "40-foo.conf (error parsing configuration: missing 'type'), " +
        "50-bar.conflist (error parsing configuration list: unexpected end of JSON input at line 1, column 2)",
    );
  });
});

describe("requireNetwork, of a large directory", () => {
  test("a message of at most 8 KiB, with both kinds of files", () => {
    const files = Array.from({ length: 3000 }, (_, i) => [
      `${i}-${"k".repeat(150)}\n${i}.conf`,
      i % 2 === 0 ? { name: "n", type: "t" } : "unexpected end of JSON input",
    ]);
    const node = nodeNetworks(Object.fromEntries(files) as object as Files);
    const { message } = errorOf(() => requireNetwork(node, "foo"));
    expect(message).toMatch(
      /^no network "foo" in .*, and more; invalid: .*, and more$/,
    );
    expect(Buffer.byteLength(message)).toBeLessThanOrEqual(8400);
  });
});

describe("findByName", () => {
  test.each<[string, string | undefined, string[]]>([
    ["storage", "20-storage.conf", ["20-storage.conf"]],
    ["x-name", "30-x.conf", ["10-a.conf", "20-storage.conf", "30-x.conf"]],
    ["a", "40-y.conf", ["10-a.conf", "20-storage.conf", "30-x.conf"]],
    ["y", undefined, ["40-y.conf", "10-a.conf", "20-storage.conf"]],
  ])("%s is %s", (name, file, firstReads) => {
    const node = nodeNetworks({
      "10-a.conf": { name: "a-name", type: "a" },
      "20-storage.conf": { name: "storage", type: "bridge" },
      "30-x.conf": { name: "x-name", type: "ptp" },
      "40-y.conf": { name: "a", type: "storage" },
      "50-z.conf": { name: "storage", type: "ptp" },
    });
    expect(findByName(node, name)?.file).toBe(file);
    expect(node.reads.slice(0, firstReads.length)).toEqual(firstReads);
  });
});

describe("firstNetwork", () => {
  test.each<[string, Readonly<Record<string, unknown>>, string]>([
    [
      "the first in byte order",
      { "20-b.conf": conf("b"), "10-a.conf": conf("a") },
      "10-a.conf",
    ],
    [
      "one after ourselves",
      { "00-genie.conf": conf("genie"), "10-a.conf": conf("a") },
      "10-a.conf",
    ],
    [
      "one after an invalid file",
      { "00-x.conf": "", "10-a.conf": conf("a") },
      "10-a.conf",
    ],
    [
      "one after a loopback",
      { "00-lo.conf": conf("loopback"), "10-a.conf": conf("a") },
      "10-a.conf",
    ],
    [
      "one that has more than a loopback",
      { "00-lo.conflist": list("lo", "loopback", "tuning") },
      "00-lo.conflist",
    ],
  ])("is %s", (_, files, file) => {
    expect(firstNetwork(networks(files)).file).toBe(file);
  });

  test.each<[string, Readonly<Record<string, unknown>>, string]>([
    ["an empty directory", {}, ""],
    [
      "ourselves and a loopback",
      { "00-genie.conf": conf("genie"), "99-lo.conf": conf("loopback") },
      "",
    ],
    [
      "an invalid file",
      { "10-a.conf": "{}" },
      "; invalid: 10-a.conf (error parsing configuration: missing 'type')",
    ],
  ])("fails with %s", (_, files, rest) => {
    expect(() => firstNetwork(networks(files))).toThrow(
      refusal(
        `no default network: /etc/cni/net.d holds no other CNI configuration${rest}`,
      ),
    );
  });
});
