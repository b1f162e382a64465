/** Where the node's network namespaces can be seen (state.md "CHECK, GC, STATUS"). */
import { describe, expect, test } from "bun:test";
import { Host } from "../../../lib/cli/node/host.ts";
import {
  sandboxOf,
  type MountNamespaces,
  isSeen,
  whyUnseen,
} from "../../../lib/cli/records/sandbox.ts";
import { nodeContext } from "../../../lib/cli/node/node-context.ts";
import type { AttachmentRecord } from "../../../lib/state/record.ts";
import { NodeDirectory } from "../fixtures.ts";
import { bootId } from "../../support/records.ts";

const command = "/opt/cni/bin/genie gc";
const advice = `run it as \`nsenter -t 1 -m -- ${command}\``;
const unseen = "cannot tell which network namespaces are gone: ";

async function whyUnseenBy(
  records: Partial<AttachmentRecord>[],
  namespaces: MountNamespaces,
): Promise<string | undefined> {
  using node = new NodeDirectory();
  for (const [i, record] of records.entries())
    node.record({ containerId: `c${i}`, ...record });
  const context = nodeContext(node, {});
  return await whyUnseen(context, command, namespaces);
}

describe("whyUnseen", () => {
  test.each<[string, Partial<AttachmentRecord>[], MountNamespaces]>([
    ["no record", [], { own: "1", first: "1" }],
    ["process 1 cannot be read", [], { own: "1", first: undefined }],
    ["that of the record", [{ mountNamespace: "1" }], { own: "1", first: "1" }],
    [
      "that of the record, process 1 cannot be read",
      [{ mountNamespace: "1" }],
      { own: "1", first: undefined },
    ],
    ["a record of 0.1.0, which tells none", [{}], { own: "1", first: "1" }],
    [
      "an older record of this boot is of another",
      [
        { mountNamespace: "2", uptimeMs: 5 },
        { mountNamespace: "1", uptimeMs: 9 },
        { mountNamespace: "2", uptimeMs: 7 },
      ],
      { own: "1", first: "1" },
    ],
    [
      "a record of an earlier boot is of another",
      [{ mountNamespace: "2", bootId: "earlier", uptimeMs: 9 }],
      { own: "1", first: "1" },
    ],
  ])("%s: undefined", async (_, records, namespaces) => {
    expect(await whyUnseenBy(records, namespaces)).toBeUndefined();
  });

  test.each<[string, Partial<AttachmentRecord>[], MountNamespaces, string]>([
    [
      "another than process 1's, no record",
      [],
      { own: "1", first: "2" },
      `this mount namespace is 1, that of process 1 2: ${advice}`,
    ],
    [
      "another than process 1's, a record of 0.1.0",
      [{}],
      { own: "1", first: "2" },
      `this mount namespace is 1, that of process 1 2: ${advice}`,
    ],
    [
      "another than that of the newest record",
      [
        { mountNamespace: "1", uptimeMs: 7 },
        { mountNamespace: "2", uptimeMs: 9 },
        { mountNamespace: "1", uptimeMs: 5 },
      ],
      { own: "1", first: undefined },
      `this mount namespace is 1, that of the newest attachment 2: ${advice}`,
    ],
    [
      "the newest record's and process 1's are the same other",
      [{ mountNamespace: "2" }],
      { own: "1", first: "2" },
      `this mount namespace is 1, that of the newest attachment 2, that of process 1 2: ${advice}`,
    ],
    [
      "the runtime does not share that of process 1",
      [{ mountNamespace: "1" }],
      { own: "1", first: "2" },
      "this mount namespace is 1, that of the newest attachment 1, that of process 1 2: only the container runtime's GC can tell: the runtime has another mount namespace than process 1",
    ],
    [
      "our own cannot be read",
      [{ mountNamespace: "2" }],
      { own: undefined, first: undefined },
      `this mount namespace is unknown, that of the newest attachment 2: ${advice}`,
    ],
  ])("%s: says so, and how to run it", async (_, records, namespaces, why) => {
    expect(await whyUnseenBy(records, namespaces)).toBe(unseen + why);
  });
});

describe("isSeen", () => {
  test.each<[string | undefined, MountNamespaces, string, boolean]>([
    ["1", { own: "1", first: "1" }, "/", true],
    ["1", { own: "1", first: "2" }, "/", true],
    ["2", { own: "1", first: "1" }, "/", false],
    [undefined, { own: "1", first: "1" }, "/", true],
    [undefined, { own: "1", first: "2" }, "/", false],
    [undefined, { own: "1", first: undefined }, "/", true],
    ["1", { own: "1", first: "1" }, "/host", false],
  ])(
    "record of %p, %p, node below %s: %p",
    (mountNamespace, namespaces, root, seen) => {
      expect(isSeen({ mountNamespace }, new Host(root), namespaces)).toBe(seen);
    },
  );
});

describe("sandboxOf", () => {
  const here = new Host();
  const netns = "/nowhere";

  test.each<[string, Parameters<typeof sandboxOf>[0], Host, string]>([
    [
      "live, wherever that is seen",
      { netns: "/proc/self/ns/net", bootId, mountNamespace: "2" },
      here,
      "live",
    ],
    ["gone", { netns, bootId }, here, "gone"],
    [
      "in another mount namespace",
      { netns, bootId, mountNamespace: "2" },
      here,
      "unknown",
    ],
    ["below --root", { netns, bootId }, new Host("/tmp"), "unknown"],
    [
      "of an earlier boot, whatever can be seen",
      { netns, bootId: "earlier", mountNamespace: "2" },
      new Host("/tmp"),
      "earlier boot",
    ],
  ])("%s", (_, record, host, sandbox) => {
    expect(sandboxOf(record, bootId, host)).toBe(
      sandbox as ReturnType<typeof sandboxOf>,
    );
  });
});
