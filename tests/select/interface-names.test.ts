/** selection.md §3 "Interface names", and the `net<M>` of §6. */
import { describe, expect, test } from "bun:test";
import { parseNetworks } from "../../lib/select/cni-annotation.ts";
import { nameInterfaces } from "../../lib/select/interface-names.ts";

/** The interface names of a `cni` annotation. */
function named(annotation: string, cniIfname = "eth0"): string[] {
  const requested = parseNetworks("x", annotation).map(({ ifname }) => ifname);
  return nameInterfaces(requested, [], cniIfname);
}

describe("nameInterfaces", () => {
  test.each<[string, string[]]>([
    ["a", ["eth0"]],
    ["a,b,c", ["eth0", "eth1", "eth2"]],
    ["a,b,c@eth1", ["eth0", "eth2", "eth1"]],
    ["a@net1,b", ["net1", "eth0"]],
    ["a,b@eth4,a@eth3", ["eth0", "eth4", "eth3"]],
    ["a,b@eth0", ["eth1", "eth0"]],
    ["a@eth0,b", ["eth0", "eth1"]],
    ["a@eth4", ["eth4"]],
    ["a@eth1,b@eth2,c,d", ["eth1", "eth2", "eth0", "eth3"]],
    ["a,b,c@eth2,d@eth1,e", ["eth0", "eth3", "eth2", "eth1", "eth4"]],
    ["a,b@eth01", ["eth0", "eth01"]],
  ])("names %s %p", (annotation, expected) => {
    expect(named(annotation)).toEqual(expected);
  });

  test.each<[string, string, string[]]>([
    ["a,b", "eth1", ["eth1", "eth0"]],
    ["a,b,c", "eth1", ["eth1", "eth0", "eth2"]],
    ["a,b", "net0", ["net0", "eth0"]],
    ["a@eth0,b,c", "eth1", ["eth0", "eth1", "eth2"]],
    ["a,b@eth1", "eth1", ["eth0", "eth1"]],
  ])("names %s with CNI_IFNAME=%s %p", (annotation, cniIfname, expected) => {
    expect(named(annotation, cniIfname)).toEqual(expected);
  });

  test.each(["a@eth1,b@eth1", "a@eth0,b,c@eth0"])(
    "refuses %s",
    (annotation) => {
      const ifname = annotation.slice(-4);
      expect(() => named(annotation)).toThrow(
        expect.objectContaining({
          code: 7,
          message: `repeated request for interface name "${ifname}"`,
        }),
      );
    },
  );
});

test.each([
  [["lo"], []],
  [["eth0"], [undefined, "lo"]],
])(
  "nameInterfaces, refuses the loopback interface, %j and %j",
  (first, added) => {
    expect(() => nameInterfaces(first, added, "eth0")).toThrow(
      expect.objectContaining({
        code: 7,
        message: 'interface name "lo" is that of the pod\'s loopback interface',
      }),
    );
  },
);

test("nameInterfaces, of added networks the lowest free name from the position on", () => {
  const added = [undefined, undefined, "net2", undefined, "net5", undefined];
  expect(nameInterfaces(["eth0"], added, "eth0")).toEqual([
    "eth0",
    "net1",
    "net3",
    "net2",
    "net4",
    "net5",
    "net6",
  ]);
});
