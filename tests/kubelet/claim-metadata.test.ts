/**
 * Metadata files of DRA drivers (KEP-5304), as the kubelet plugin library of
 * Kubernetes 1.37 writes them.
 */
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import {
  type MetadataRequest,
  decodeMetadata,
  kubeletDirectories,
  readClaimMetadata,
} from "../../lib/kubelet/claim-metadata.ts";
import { temporaryDirectory } from "../support/delegate.ts";

function metadata(version: string, request = "vf", extra: object = {}): string {
  const value = {
    kind: "DeviceMetadata",
    apiVersion: `metadata.resource.k8s.io/${version}`,
    metadata: { name: "nic", namespace: "shop", uid: "u{}\\", generation: 1 },
    podClaimName: "nic",
    requests: [
      {
        name: request,
        devices: [
          {
            driver: "nic.example.com",
            pool: "node1",
            name: "vf-0",
            attributes: { model: { string: 'a "}" {' } },
          },
        ],
      },
    ],
    ...extra,
  };
  return `${JSON.stringify(value, null, 2)}\n`;
}

const vf = {
  podClaimName: "nic",
  name: "vf",
  devices: [
    {
      driver: "nic.example.com",
      pool: "node1",
      name: "vf-0",
      attributes: { model: { string: 'a "}" {' } },
    },
  ],
};

describe("decodeMetadata", () => {
  test.each<[string, string, MetadataRequest[]]>([
    ["one version", metadata("v1beta1"), [vf]],
    [
      "several versions, the first counts",
      metadata("v1beta1").trim() + metadata("v1alpha1", "other"),
      [vf],
    ],
    [
      "an unknown form first",
      metadata("v9", "x", { requests: "later" }) + metadata("v1alpha1"),
      [vf],
    ],
    ["another kind", metadata("v1").replace("DeviceMetadata", "Other"), []],
    ["another group", metadata("v1").replace("metadata.res", "x.res"), []],
    [
      "no requests, no name in the pod",
      metadata("v1", "", { requests: undefined, podClaimName: undefined }),
      [],
    ],
    ["nothing", "", []],
    ["torn, and long", `{"${'\\"'.repeat(500_000)}`, []],
    [
      "another claim",
      metadata("v1", "vf", { metadata: { name: "other", namespace: "shop" } }),
      [],
    ],
    [
      "a claim of another namespace",
      metadata("v1", "vf", { metadata: { name: "nic", namespace: "other" } }),
      [],
    ],
    ["no claim named", metadata("v1", "vf", { metadata: undefined }), [vf]],
  ])("%s", (_, text, expected) => {
    const claim = { namespace: "shop", name: "nic" };
    expect(decodeMetadata(text, claim)).toEqual(expected);
  });
});

describe("readClaimMetadata", () => {
  const directory = temporaryDirectory();
  afterAll(() => directory[Symbol.dispose]());
  const below = join(
    directory.path,
    "plugins/nic.example.com/dra-device-metadata/shop_nic",
  );

  beforeEach(() => rmSync(below, { recursive: true, force: true }));

  const write = (request: string, text: string) => {
    const path = join(below, request, "metadata.json");
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  };
  const read = (driver = "nic.example.com", name = "nic") =>
    readClaimMetadata(["/nonexistent", directory.path], driver, {
      namespace: "shop",
      name,
    });

  test("the requests of all files, in order", () => {
    write("vf2", metadata("v1beta1", "vf2/fast"));
    write("vf", metadata("v1beta1"));
    expect(read()).toEqual([vf, { ...vf, name: "vf2/fast" }]);
  });

  test("another claim or driver, or a path: none", () => {
    write("vf", metadata("v1beta1"));
    expect(read("gpu.example.com")).toEqual([]);
    expect(read("nic.example.com", "other")).toEqual([]);
    expect(read("../plugins/nic.example.com")).toEqual([]);
  });

  test.each<[string, () => void]>([
    ["torn", () => write("vf", metadata("v1beta1").slice(0, 300))],
    ["too large", () => write("vf", metadata("v1") + " ".repeat(1 << 20))],
    [
      "a link",
      () => {
        write("vf", metadata("v1beta1"));
        rmSync(join(below, "vf/metadata.json"));
        symlinkSync("/dev/zero", join(below, "vf/metadata.json"));
      },
    ],
    [
      "a directory",
      () => mkdirSync(join(below, "vf/metadata.json"), { recursive: true }),
    ],
  ])("a file that is %s: none", (_, make) => {
    make();
    expect(read()).toEqual([]);
  });
});

test("kubeletDirectories, beside the socket, then the usual one", () => {
  expect(
    kubeletDirectories("/var/lib/k0s/kubelet/pod-resources/kubelet.sock"),
  ).toEqual(["/var/lib/k0s/kubelet", "/var/lib/kubelet"]);
  expect(
    kubeletDirectories("/var/lib/kubelet/pod-resources/kubelet.sock"),
  ).toEqual(["/var/lib/kubelet"]);
});
