import { describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { freeAddresses } from "../../lib/agent/metrics/host-local.ts";
import { parseConfList } from "../../lib/cni/conflist.ts";
import { temporaryDirectory } from "../support/delegate.ts";

/** The free addresses of a network with these keys of `ipam` and these reserved addresses. */
function free(ipam: object, ...reserved: string[]): number | undefined {
  using directory = temporaryDirectory();
  const list = parseConfList({
    cniVersion: "1.0.0",
    name: "net",
    plugins: [
      { type: "bridge", ipam: { type: "host-local", ...ipam } },
      { type: "tuning" },
    ],
  });
  const place = `${directory.path}/var/lib/cni/networks/net`;
  mkdirSync(place, { recursive: true });
  for (const name of [...reserved, "last_reserved_ip.0", "lock"])
    writeFileSync(`${place}/${name}`, "");
  return freeAddresses(list, (path) => directory.path + path);
}

describe("freeAddresses", () => {
  test.each<[what: string, ipam: object, expected: number | undefined]>([
    [
      "a subnet: without network, broadcast and gateway",
      { subnet: "10.1.0.0/24" },
      253,
    ],
    [
      "host bits of a subnet are ignored",
      { ranges: [[{ subnet: "10.1.0.7/29" }]] },
      5,
    ],
    [
      "a range without the gateway in it",
      {
        ranges: [
          [
            {
              subnet: "10.1.0.0/24",
              rangeStart: "10.1.0.10",
              rangeEnd: "10.1.0.19",
            },
          ],
        ],
      },
      10,
    ],
    [
      "a gateway in the range",
      {
        ranges: [
          [
            {
              subnet: "10.1.0.0/24",
              rangeStart: "10.1.0.10",
              rangeEnd: "10.1.0.19",
              gateway: "10.1.0.12",
            },
          ],
        ],
      },
      9,
    ],
    [
      "several ranges of one set: together",
      { ranges: [[{ subnet: "10.1.0.0/29" }, { subnet: "10.2.0.0/30" }]] },
      6,
    ],
    [
      "two sets, as for both families: the one with fewest",
      { ranges: [[{ subnet: "10.1.0.0/29" }], [{ subnet: "fd00::/64" }]] },
      5,
    ],
    [
      "IPv6: without network and gateway",
      { ranges: [[{ subnet: "fd00::/124" }]] },
      14,
    ],
    ["no range", {}, undefined],
    ["an invalid subnet", { ranges: [[{ subnet: "10.1.0.0" }]] }, undefined],
    [
      "257 ranges",
      {
        ranges: Array.from({ length: 257 }, () => [{ subnet: "10.1.0.0/24" }]),
      },
      undefined,
    ],
    ["an empty set", { ranges: [[]] }, undefined],
  ])("%s", (_, ipam, expected) => {
    expect(free(ipam)).toBe(expected);
  });

  test("reserved addresses: those of the range only", () => {
    const ipam = { ranges: [[{ subnet: "10.1.0.0/29" }]] };
    expect(free(ipam, "10.1.0.2", "10.1.0.3", "10.9.0.2", "fd00::2")).toBe(3);
  });

  test("another IPAM: unknown", () => {
    expect(free({ type: "dhcp", subnet: "10.1.0.0/24" })).toBeUndefined();
  });
});
