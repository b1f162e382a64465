import { describe, expect, test } from "bun:test";
import { CniError } from "../../lib/cni/error.ts";
import { DeviceAllotment } from "../../lib/kubelet/allotment.ts";

const devices = new Map([
  ["intel.com/a", ["a0", "a1"]],
  ["intel.com/b", ["b0"]],
  ["intel.com/none", []],
]);

describe("DeviceAllotment", () => {
  test("take, every resource in its own order, none twice", () => {
    const allotment = new DeviceAllotment(devices);
    const wanted = ["intel.com/a", "intel.com/b", "intel.com/a"];
    expect(wanted.map((resource) => allotment.take(resource))).toEqual([
      "a0",
      "b0",
      "a1",
    ]);
  });

  test.each<[resource: string, taken: number, message: string]>([
    [
      "intel.com/a",
      2,
      'no device of resource "intel.com/a" is left for this network: the kubelet allotted 2 to the pod',
    ],
    [
      "intel.com/none",
      0,
      'no device of resource "intel.com/none" is left for this network: the kubelet allotted 0 to the pod',
    ],
    [
      "constructor",
      0,
      'no device of resource "constructor" is left for this network: the kubelet allotted 0 to the pod',
    ],
  ])("take, %s after %d of them: error 7", (resource, taken, message) => {
    const allotment = new DeviceAllotment(devices);
    for (let count = 0; count < taken; count++) allotment.take(resource);
    expect(() => allotment.take(resource)).toThrow(new CniError(7, message));
    // Still the same for whoever asks next.
    expect(() => allotment.take(resource)).toThrow(
      expect.objectContaining({ code: 7, message }),
    );
  });

  test("constructor, another allotment starts anew", () => {
    new DeviceAllotment(devices).take("intel.com/b");
    expect(new DeviceAllotment(devices).take("intel.com/b")).toBe("b0");
  });
});
