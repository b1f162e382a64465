/** devices.md: the devices that the kubelet lists of claims, and what metadata says of them. */
import { describe, expect, test } from "bun:test";
import {
  addMetadata,
  claimDevicesOf,
} from "../../lib/kubelet/claim-devices.ts";

const driver = "nic.example.com";

function listed(...devices: (readonly [deviceName: string, cdi: string[]])[]) {
  const claimResources = devices.map(([deviceName, cdi]) => ({
    $typeName: "v1.ClaimResource" as const,
    cdiDevices: cdi.map((name) => ({
      $typeName: "v1.CDIDevice" as const,
      name: `${driver}/vf=${name}`,
    })),
    driverName: driver,
    poolName: "node1",
    deviceName,
    shareId: "",
  }));
  return claimDevicesOf([
    {
      $typeName: "v1.ContainerResources",
      devices: [],
      dynamicResources: [
        {
          $typeName: "v1.DynamicResource",
          claimName: "nic",
          claimNamespace: "shop",
          claimResources,
        },
      ],
    },
  ]);
}

describe("claimDevicesOf", () => {
  test.each([
    ["each with its own CDI name", listed(["a", ["x"]], ["b", ["y"]])],
    [
      "the CDI names of earlier ones again",
      listed(["a", ["x"]], ["b", ["x", "y"]]),
    ],
    ["all CDI names with each", listed(["a", ["x", "y"]], ["b", ["x", "y"]])],
  ])("%s", (_, devices) => {
    expect(devices.map(({ device, cdi }) => [device, cdi])).toEqual([
      ["a", "x"],
      ["b", "y"],
    ]);
  });

  test("without names, before Kubernetes 1.34: one for each CDI name", () => {
    const devices = listed(["", ["x", "y"]], ["", ["x", "y", "z"]]);
    expect(devices.map(({ device, cdi }) => [device, cdi])).toEqual(
      ["x", "y", "z"].map((name) => [`${driver}/vf=${name}`, name]),
    );
  });
});

test.each([
  ["the same", {}, true],
  ["another driver", { driver: "other.example.com" }, false],
  ["another pool", { pool: "node2" }, false],
  ["another device", { name: "b" }, false],
])("addMetadata, of %s", (_, other, isMeant) => {
  const [device] = listed(["a", ["x"]]);
  if (!device) throw new Error("no device");
  const described = { driver, pool: "node1", name: "a", ...other };
  const attributes = {
    "resource.kubernetes.io/pciBusID": { string: "0000:03:02.0" },
  };
  addMetadata(
    [device],
    [{ name: "vf", devices: [{ ...described, attributes }] }],
  );
  expect([[...device.requests], device.attributes?.pciBusId]).toEqual(
    isMeant ? [["vf"], "0000:03:02.0"] : [[], undefined],
  );
});
