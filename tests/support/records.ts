/** Attachments and records for tests. */
import { readFileSync } from "node:fs";
import { parseConf, parseConfList } from "../../lib/cni/conflist.ts";
import type { Result } from "../../lib/cni/result.ts";
import type { Attachment } from "../../lib/select/attachment.ts";
import type { AttachmentRecord } from "../../lib/state/record.ts";
import { formatVersion } from "../../lib/state/record-text.ts";

/** An attachment to a network of one plugin. */
export function attachmentOf(
  network: string,
  ifname: string,
  more: Partial<Attachment> = {},
): Attachment {
  const list = parseConf({
    cniVersion: "1.0.0",
    name: network,
    type: "ptp",
  });
  return { list, ifname, args: "", capabilityArgs: {}, ...more };
}

/** The record of a container without a pod, of this boot unless `bootId` says another. */
export function recordOf(
  containerId: string,
  more: Partial<AttachmentRecord> = {},
): AttachmentRecord {
  return {
    formatVersion,
    containerId,
    ifname: "eth0",
    netns: "",
    network: "genie-net",
    time: "2026-01-01T00:00:00.000Z",
    bootId,
    uptimeMs: 1,
    path: [],
    attachments: [],
    ...more,
  };
}

/** Of this boot. */
export const bootId = readFileSync(
  "/proc/sys/kernel/random/boot_id",
  "utf8",
).trim();

/** With two attachments, and every field that a record can have. */
export const exampleRecord: AttachmentRecord = {
  formatVersion,
  containerId: "c1",
  ifname: "eth0",
  netns: "/run/netns/a",
  network: "genie-net",
  pod: { namespace: "ns", name: "p", uid: "u" },
  time: "2026-01-02T03:04:05.678Z",
  bootId: "3ffa8f4c-0000-4000-8000-000000000000",
  uptimeMs: 12_345_678.901_234,
  path: ["/opt/cni/bin", "/extra"],
  attachments: [
    {
      list: parseConfList({
        cniVersion: "1.0.0",
        name: "net",
        disableCheck: true,
        plugins: [
          { type: "bridge", ipam: { type: "host-local" } },
          { type: "tuning" },
        ],
      }),
      ifname: "eth0",
      args: "K8S_POD_NAME=p",
      capabilityArgs: { portMappings: [{ hostPort: 80 }] },
      origin: "default",
    },
    {
      list: parseConf({ name: "def", type: "macvlan" }),
      ifname: "net1",
      args: "IgnoreUnknown=1;IP=10.0.0.9",
      capabilityArgs: {},
      definition: "ns/def",
      element: {
        network: "def",
        namespace: "ns",
        interface: "net1",
        requests: { ips: ["10.0.0.9"] },
      },
    },
  ],
};

/** Results in the order of a record's attachments, for `writeResults`. */
export function resultsOf(
  { attachments }: AttachmentRecord,
  results: readonly (Result | undefined)[],
): ReadonlyMap<string, Result> {
  return new Map(
    attachments.flatMap(({ ifname }, i) => {
      const result = results[i];
      return result === undefined ? [] : [[ifname, result] as const];
    }),
  );
}
