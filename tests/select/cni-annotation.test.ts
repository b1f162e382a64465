/** selection.md §3: the grammar of the `cni` annotation. */
import { describe, expect, test } from "bun:test";
import {
  type NetworkRequest,
  maxAttachments,
  parseNetworks,
} from "../../lib/select/cni-annotation.ts";
import { refusal } from "../support/cni-error.ts";

const source = 'annotation "cni"';

describe("parseNetworks", () => {
  test.each<[string, NetworkRequest[]]>([
    ["flannel", [{ name: "flannel" }]],
    ["flannel,weave", [{ name: "flannel" }, { name: "weave" }]],
    [
      "flannel, weave, flannel",
      [{ name: "flannel" }, { name: "weave" }, { name: "flannel" }],
    ],
    [
      "flannel,weave@eth4,flannel@eth3",
      [
        { name: "flannel" },
        { name: "weave", ifname: "eth4" },
        { name: "flannel", ifname: "eth3" },
      ],
    ],
    ["flannel @ eth7", [{ name: "flannel", ifname: "eth7" }]],
    [" \tflannel\n@\teth7 ", [{ name: "flannel", ifname: "eth7" }]],
    ["flannel@", [{ name: "flannel" }]],
    ["flannel@ ,weave", [{ name: "flannel" }, { name: "weave" }]],
    ["my-net_1.2", [{ name: "my-net_1.2" }]],
    ["9net", [{ name: "9net" }]],
    ["a@15bytes-is-fine", [{ name: "a", ifname: "15bytes-is-fine" }]],
    ["a@...", [{ name: "a", ifname: "..." }]],
    ["a@é", [{ name: "a", ifname: "é" }]],
  ])("reads %j", (text, expected) => {
    expect(parseNetworks(source, text)).toEqual(expected);
  });

  test.each<[string, string]>([
    ["flannel,", "element 2: empty network name"],
    [",flannel", "element 1: empty network name"],
    ["a,,b", "element 2: empty network name"],
    ["a, ,b", "element 2: empty network name"],
    ["@eth1", "element 1: empty network name"],
    ["a,@", "element 2: empty network name"],
    ["a@eth1@eth2", "element 1: more than one @"],
    ["a@@eth1", "element 1: more than one @"],
    ["a@eth1@", "element 1: more than one @"],
    ["../../etc/passwd", 'element 1: invalid network name "../../etc/passwd"'],
    ["-a", 'element 1: invalid network name "-a"'],
    [".a", 'element 1: invalid network name ".a"'],
    ["_a", 'element 1: invalid network name "_a"'],
    ["a b", 'element 1: invalid network name "a b"'],
    ["a/b", 'element 1: invalid network name "a/b"'],
    ["é", 'element 1: invalid network name "é"'],
    ["a\u0000", 'element 1: invalid network name "a\\u0000"'],
    [
      "a,b@/../",
      'element 2: invalid interface name "/../": interface name contains / or : or whitespace characters',
    ],
    [
      "a@e:0",
      'element 1: invalid interface name "e:0": interface name contains / or : or whitespace characters',
    ],
    [
      "a@e 0",
      'element 1: invalid interface name "e 0": interface name contains / or : or whitespace characters',
    ],
    [
      "a@e\u0000",
      'element 1: invalid interface name "e\\u0000": interface name contains a NUL character',
    ],
    ["a@.", 'element 1: invalid interface name ".": interface name is . or ..'],
    [
      "a@..",
      'element 1: invalid interface name "..": interface name is . or ..',
    ],
    [
      "a@0123456789abcdef",
      'element 1: invalid interface name "0123456789abcdef": interface name is too long',
    ],
    [
      "a@éééééééé",
      'element 1: invalid interface name "éééééééé": interface name is too long',
    ],
  ])("refuses %j: %s", (text, reason) => {
    const said = `failed to parse ${source} ${JSON.stringify(text)}: ${reason}`;
    expect(() => parseNetworks(source, text)).toThrow(refusal(said));
  });

  test("takes 32 elements and no more", () => {
    const list = (length: number) => Array(length).fill("a").join(",");
    expect(parseNetworks(source, list(32))).toHaveLength(maxAttachments);
    expect(() => parseNetworks(source, list(33))).toThrow(
      refusal(
        `failed to parse ${source} ${JSON.stringify(list(33))}: more than 32 networks`,
      ),
    );
  });

  test("cuts quoted text", () => {
    const text = `${"x".repeat(200)}@`;
    const cut = `"${"x".repeat(128)}…"`;
    expect(() => parseNetworks(source, `${text}@`)).toThrow(
      refusal(`failed to parse ${source} ${cut}: element 1: more than one @`),
    );
  });

  test("says which text it is", () => {
    expect(() =>
      parseNetworks('configuration key "default_plugin"', ","),
    ).toThrow(
      'failed to parse configuration key "default_plugin" ",": element 1: empty network name',
    );
  });
});
