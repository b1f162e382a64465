/** state.md "Never stuck, never forgotten": a late DEL takes nothing from a new pod. */
import { expect, test } from "bun:test";
import { LivingRecords } from "../../lib/attach/abandoned.ts";
import {
  type AttachmentRecord,
  formatVersion,
} from "../../lib/attach/record.ts";
import { Records } from "../../lib/attach/records.ts";
import { parseConf } from "../../lib/cni/conflist.ts";
import { temporaryDirectory } from "../support/delegate.ts";

function record(
  containerId: string,
  pod: string | undefined,
  conf: Record<string, unknown>,
  capabilityArgs: Record<string, unknown> = {},
): AttachmentRecord {
  return {
    formatVersion,
    containerId,
    ifname: "eth0",
    netns: "",
    network: "genie-net",
    pod:
      pod === undefined
        ? undefined
        : { namespace: "shop", name: pod, uid: containerId },
    time: "2026-01-01T00:00:00.000Z",
    bootId: "b",
    uptimeMs: 1,
    path: [],
    attachments: [
      {
        list: parseConf({ name: "net", type: "a", ...conf }),
        ifname: "net1",
        args: "",
        capabilityArgs,
      },
    ],
  };
}

const abandoned = record(
  "old",
  "web",
  { name: "net", device: "ens5" },
  {
    deviceID: "0000:03:02.1",
  },
);

test.each<[string | undefined, string, AttachmentRecord]>([
  [
    "pod shop/web has network net again",
    "the same pod and network",
    record("new", "web", {}),
  ],
  [
    undefined,
    "the same pod on another network",
    record("new", "web", { name: "x" }),
  ],
  [undefined, "another pod on the same network", record("new", "other", {})],
  [undefined, "no pod", record("new", undefined, {})],
  [
    "device ens5 is container new's now",
    "the same device in the configuration",
    record("new", "other", { name: "x", device: "ens5" }),
  ],
  [
    "device 0000:03:02.1 is container new's now",
    "the same device as an argument",
    record("new", "other", { name: "x" }, { deviceID: "0000:03:02.1" }),
  ],
  [
    "device 0000:03:02.1 is container new's now",
    "the same device by another key",
    record("new", "other", { name: "x", pciBusID: "0000:03:02.1" }),
  ],
  [
    undefined,
    "another device",
    record("new", "other", { name: "x", device: "ens6" }),
  ],
  [
    "container old is attached again",
    "the same container",
    record("old", "other", { name: "x" }),
  ],
])("LivingRecords.ownerOf, is %p for %s", (owner, _, living) => {
  using directory = temporaryDirectory();
  const records = new Records(directory.path);
  records.write(living).close();
  const all = new LivingRecords(records);
  all.refresh();
  const [attachment] = abandoned.attachments;
  expect(attachment && all.ownerOf(abandoned, attachment)).toBe(owner);
});

test("LivingRecords.refresh, sees what comes and what goes", () => {
  using directory = temporaryDirectory();
  const records = new Records(directory.path);
  const all = new LivingRecords(records);
  const [attachment] = abandoned.attachments;
  const owner = () => {
    all.refresh();
    return attachment && all.ownerOf(abandoned, attachment);
  };
  const living = record("new", "web", {});
  const seen = [owner()];
  records.write(living).close();
  seen.push(owner());
  records.remove(living);
  seen.push(owner());
  expect(seen).toEqual([
    undefined,
    "pod shop/web has network net again",
    undefined,
  ]);
});
