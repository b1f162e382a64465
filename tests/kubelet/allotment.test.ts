/**
 * Which device answers to a resource or a claim (devices.md): the kubelet's list as
 * the real one makes it, descriptions from metadata files and the API server in
 * memory.
 */
import { describe, expect, test } from "bun:test";
import { CniError } from "../../lib/cni/error.ts";
import { ApiError } from "../../lib/kube/api-error.ts";
import { Allotment, type DeviceRequest } from "../../lib/kubelet/allotment.ts";
import type { Sources } from "../../lib/kubelet/pod-claims.ts";
import { naturalOrder } from "../../lib/kubelet/natural-order.ts";
import type { UsedDevice } from "../../lib/kubelet/taken-devices.ts";
import { type KubeletPod, containersOf } from "../support/kubelet.ts";

const nics = "nic.example.com";
const gpus = "gpu.example.com";

/** Device name → attributes without their domains. */
type Attributes = Record<string, Record<string, string>>;

interface Case {
  containers?: KubeletPod["containers"];
  claims?: KubeletPod["claims"];
  /** Described by the ResourceSlices of the driver. */
  slices?: Record<string, Attributes | Error>;
  /** Described by a metadata file: claim → request → devices of `nics`. */
  metadata?: Record<string, Record<string, Attributes>>;
  /** Name in the pod, where a template made the claim. */
  templates?: Record<string, string>;
  podClaims?: Record<string, string>;
  /** Claim → request → names of devices, or `<device>#<share>`. */
  allocations?: Record<string, Record<string, string[]>>;
  inUse?: UsedDevice[];
}

const domains: Record<string, string> = {
  resourceName: "k8s.cni.cncf.io/",
  deviceID: "k8s.cni.cncf.io/",
  pciBusID: "resource.kubernetes.io/",
};

function attributesOf(
  values: Record<string, string>,
): Record<string, Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(values).map(([name, string]) => [
      `${domains[name] ?? ""}${name}`,
      { string },
    ]),
  );
}

class Scene {
  /** The requests to the API server. */
  readonly asked: string[] = [];
  readonly debug: string[] = [];
  readonly warnings: string[] = [];
  readonly #allotment: Allotment;

  constructor({ containers = [], claims = [], inUse = [], ...given }: Case) {
    const sources: Sources = {
      metadata: (driver, { name }) =>
        Object.entries((driver === nics && given.metadata?.[name]) || {}).map(
          ([request, devices]) => ({
            name: request,
            podClaimName: given.templates?.[name],
            devices: Object.entries(devices).map(([device, attributes]) => ({
              driver,
              pool: "node1",
              name: device,
              attributes: attributesOf(attributes),
            })),
          }),
        ),
      slices: async (driver) => {
        this.asked.push(`slices of ${driver}`);
        await Promise.resolve();
        const listed = given.slices?.[driver] ?? {};
        if (listed instanceof Error) throw listed;
        return Object.entries(listed).map(([device, attributes]) => ({
          pool: "node1",
          device,
          attributes: attributesOf(attributes),
        }));
      },
      podClaims: async () => {
        this.asked.push("pod");
        await Promise.resolve();
        return new Map(Object.entries(given.podClaims ?? {}));
      },
      allocation: async ({ namespace, name }) => {
        this.asked.push(`claim ${namespace}/${name}`);
        await Promise.resolve();
        return Object.entries(given.allocations?.[name] ?? {}).flatMap(
          ([request, devices]) =>
            devices.map((named) => {
              const [device = "", share = ""] = named.split("#");
              return { request, driver: nics, pool: "node1", device, share };
            }),
        );
      },
      debug: (text) => void this.debug.push(text),
      warn: (text) => void this.warnings.push(text),
    };
    this.#allotment = new Allotment(
      containersOf({ containers, claims }),
      sources,
      inUse,
    );
  }

  async ids(...requests: (string | DeviceRequest)[]): Promise<string[]> {
    const ids: string[] = [];
    for (const request of requests)
      ids.push(
        (
          await this.#allotment.take(
            typeof request === "string" ? { resource: request } : request,
          )
        ).id,
      );
    return ids;
  }

  take(request: DeviceRequest) {
    return this.#allotment.take(request);
  }

  async failure(...requests: (string | DeviceRequest)[]) {
    const error: unknown = await this.ids(...requests).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (!(error instanceof CniError)) throw error;
    return { code: error.code, message: error.message };
  }
}

const nic = (device: string, cdi?: string) => ({
  driver: nics,
  device,
  ...(cdi !== undefined && { cdi: [cdi] }),
});

describe("naturalOrder", () => {
  test.each<[string, ...string[]]>([
    ["0000:03:02.2", "0000:03:02.10", "0000:03:10.0", "0000:3b:02.1"],
    ["eth02", "eth2", "eth10", "eth10a"],
    ["", "0", "00", "1", "9007199254740993", "9007199254740994", "a", "a1"],
  ])("%s, …", (...expected) => {
    expect(expected.toReversed().toSorted(naturalOrder)).toEqual(expected);
  });
});

describe("Allotment, device plugins", () => {
  const containers: Case["containers"] = [
    [
      ["x/vf", "0000:03:02.10"],
      ["x/gpu", "g"],
      ["x/vf", "0000:03:02.2", "0000:03:02.10"],
    ],
    [["x/vf", "0000:03:02.1", "0000:03:02.2"]],
  ];

  test("containers in their order, within one by ID, each device once", async () => {
    const scene = new Scene({ containers });
    expect(await scene.ids("x/vf", "x/gpu", "x/vf", "x/vf")).toEqual([
      "0000:03:02.2",
      "g",
      "0000:03:02.10",
      "0000:03:02.1",
    ]);
    expect(scene.asked).toEqual([]);
  });

  test("the device, its resource and its source", async () => {
    const scene = new Scene({ containers });
    expect(await scene.take({ resource: "x/gpu" })).toEqual({
      id: "g",
      resource: "x/gpu",
      source: "device plugin",
      identity: "x/gpu g",
    });
  });

  test.each<[string, Case, string[], string]>([
    [
      "of too few",
      { containers },
      ["x/vf", "x/gpu", "x/gpu"],
      'no device of resource "x/gpu" is left for this network: the kubelet allotted x/vf (3), x/gpu (1) to the pod',
    ],
    [
      "of none",
      {},
      ["constructor"],
      'no device of resource "constructor" is left for this network: the kubelet allotted no device to the pod',
    ],
    [
      "of another resource, with a claim",
      {
        claims: [[{ name: "nic", devices: [nic("vf-0"), nic("vf-1")] }]],
        slices: { [nics]: { "vf-0": { resourceName: "x/other" } } },
      },
      ["x/vf"],
      'no device of resource "x/vf" is left for this network: the kubelet allotted claim nic (vf-0 of x/other, vf-1 of no ResourceSlice of this node) to the pod',
    ],
  ])(
    "%s: error 7 that says what there is",
    async (_, given, taken, message) => {
      const failure = await new Scene(given).failure(...taken);
      expect(failure).toEqual({ code: 7, message });
    },
  );

  test("those of other attachments of the pod are left out", async () => {
    const id = "0000:03:02.2";
    const inUse = [{ id, identity: `x/vf ${id}` }];
    const scene = new Scene({ containers, inUse });
    expect(await scene.ids("x/vf")).toEqual(["0000:03:02.10"]);
    const named = new Scene({ containers, inUse: [{ id }] });
    expect(await named.ids("x/vf")).toEqual(["0000:03:02.10"]);
  });

  test("another resource's device of the same ID is another device", async () => {
    const both: Case = {
      containers: [
        [
          ["x/a", "0"],
          ["x/b", "0"],
        ],
      ],
    };
    const taken = await new Scene(both).take({ resource: "x/a" });
    const scene = new Scene({ ...both, inUse: [taken] });
    expect(await scene.failure("x/a")).toMatchObject({ code: 7 });
    expect(await scene.ids("x/b")).toEqual(["0"]);
  });
});

describe("Allotment, attributes (form B)", () => {
  const mixed: NonNullable<Case["claims"]> = [
    [
      {
        name: "mix",
        devices: [
          { driver: gpus, device: "gpu-0", cdi: ["gpu.example.com/gpu=0"] },
          nic("vf-10", "nic.example.com/vf=a"),
          nic("vf-2", "nic.example.com/vf=b"),
        ],
      },
    ],
  ];
  const vfs: Attributes = {
    "vf-10": { resourceName: "x/vf", deviceID: "0000:03:02.10" },
    "vf-2": { resourceName: "x/vf", pciBusID: "0000:03:02.2" },
    "vf-7": { resourceName: "x/vf", deviceID: "of another pod" },
  };

  test("one LIST per driver; deviceID, else pciBusID; a GPU is passed over", async () => {
    const slices = { [nics]: vfs, [gpus]: { "gpu-0": { pciBusID: "g" } } };
    const scene = new Scene({ claims: mixed, slices });
    expect(await scene.ids("x/vf", "x/vf")).toEqual([
      "0000:03:02.2",
      "0000:03:02.10",
    ]);
    expect(scene.asked).toEqual([`slices of ${gpus}`, `slices of ${nics}`]);
    expect(scene.debug).toEqual([
      '"gpu-0" of claim "mix" is passed over: it has no attribute k8s.cni.cncf.io/resourceName',
    ]);
    expect(await scene.failure("x/vf")).toMatchObject({ code: 7 });
    expect(scene.asked).toHaveLength(2);
  });

  test("a metadata file that has the device: nobody is asked", async () => {
    const scene = new Scene({ claims: mixed, metadata: { mix: { vf: vfs } } });
    expect(await scene.take({ resource: "x/vf" })).toEqual({
      id: "0000:03:02.2",
      resource: "x/vf",
      source: `claim "mix" of driver "${nics}"`,
      identity: `${nics} node1 vf-2`,
    });
    expect(scene.asked).toEqual([]);
  });

  test("a device with neither deviceID nor pciBusID is passed over", async () => {
    const slices = { [nics]: { "vf-2": { resourceName: "x/vf" } } };
    const scene = new Scene({ claims: mixed, slices });
    expect(await scene.failure("x/vf")).toMatchObject({ code: 7 });
    expect(scene.debug).toContain(
      '"vf-2" of claim "mix" is passed over: it has no attribute k8s.cni.cncf.io/deviceID, resource.kubernetes.io/pciBusID',
    );
  });

  test("containers in their order; a claim of two containers counts once", async () => {
    const other = { name: "other", devices: [nic("vf-9"), nic("vf-2")] };
    const first = { name: "first", devices: [nic("vf-10")] };
    const claims = [[first], [other, first]];
    const last = { resourceName: "x/vf", deviceID: "0000:03:02.9" };
    const slices = { [nics]: { ...vfs, "vf-9": last } };
    const scene = new Scene({ claims, slices });
    expect(await scene.ids("x/vf", "x/vf", "x/vf")).toEqual([
      "0000:03:02.10",
      "0000:03:02.2",
      "0000:03:02.9",
    ]);
    expect(await scene.failure("x/vf")).toMatchObject({ code: 7 });
  });

  test("a device of two claims counts once, each share of a device", async () => {
    const shared = [
      { ...nic("vf-0"), share: "a" },
      { ...nic("vf-0"), share: "b" },
    ];
    const scene = (claims: KubeletPod["claims"], inUse: UsedDevice[] = []) =>
      new Scene({
        claims,
        inUse,
        slices: { [nics]: { "vf-0": { resourceName: "v/x", deviceID: "0" } } },
      });
    const twice = ["one", "two"].map((name) => ({
      name,
      devices: [nic("vf-0")],
    }));
    expect(await scene([twice]).ids("v/x")).toEqual(["0"]);
    expect(await scene([twice]).failure("v/x", "v/x")).toMatchObject({
      code: 7,
    });
    const sharing = [[{ name: "one", devices: shared }]];
    const shares = scene(sharing);
    const taken = await shares.take({ resource: "v/x" });
    expect(await shares.ids("v/x")).toEqual(["0"]);
    expect(await shares.failure("v/x")).toMatchObject({ code: 7 });
    const left = scene(sharing, [taken]);
    expect(await left.ids("v/x")).toEqual(["0"]);
    expect(await left.failure("v/x")).toMatchObject({ code: 7 });
  });

  test.each<[string, Error, number]>([
    ["denied", new ApiError("forbidden", 403), 11],
    ["no response", new ApiError("no response in time"), 11],
  ])("the LIST fails, %s: its error", async (_, error, code) => {
    const slices = { [nics]: error, [gpus]: {} };
    const scene = new Scene({ claims: mixed, slices });
    expect(await scene.failure("x/vf")).toEqual({
      code,
      message: error.message,
    });
  });

  test("a resource of a device plugin does not depend on the LIST", async () => {
    const containers: Case["containers"] = [[["x/vf", "a"]]];
    const slices = { [nics]: new ApiError("forbidden", 403) };
    const scene = new Scene({ containers, claims: mixed, slices });
    expect(await scene.ids("x/vf")).toEqual(["a"]);
    expect(scene.asked).toEqual([]);
    expect(await scene.failure("x/vf")).toMatchObject({ code: 7 });
  });
});

describe("Allotment, a claim's name (form A)", () => {
  const claims: Case["claims"] = [
    [
      {
        name: "nic",
        devices: [
          nic("vf-1", "nic.example.com/vf=0000:03:02.10"),
          nic("vf-0", "nic.example.com/vf=0000:03:02.2"),
        ],
      },
    ],
  ];

  test("the device is in the CDI name; repeated names count once", async () => {
    const scene = new Scene({ claims });
    expect(await scene.ids("nic", "nic")).toEqual([
      "0000:03:02.2",
      "0000:03:02.10",
    ]);
    expect(await scene.failure("nic")).toMatchObject({ code: 7 });
    expect(scene.debug).toEqual([]);
    expect(await scene.failure("vf")).toMatchObject({ code: 7 });
    expect(scene.debug).toHaveLength(2);
  });

  test("all CDI names with each device", async () => {
    const cdi = ["v/vf=10", "v/vf=9"];
    const devices = [{ driver: nics, device: "a", cdi }, nic("b")];
    const scene = new Scene({ claims: [[{ name: "nic", devices }]] });
    expect(await scene.ids("nic", "nic")).toEqual(["9", "10"]);
  });

  test("attributes come first", async () => {
    const attributes = { resourceName: "nic", deviceID: "b" };
    const scene = new Scene({
      claims,
      slices: { [nics]: { "vf-1": attributes } },
    });
    // vf-0 has no attributes, so only its CDI name is left.
    expect(await scene.ids("nic", "nic")).toEqual(["b", "0000:03:02.2"]);
  });

  test.each<[string, CniError]>([
    ["denied", new ApiError("forbidden", 403)],
    ["no node name", new CniError(7, "no nodeName")],
  ])("works without attributes, %s", async (_, error) => {
    const scene = new Scene({ claims, slices: { [nics]: error } });
    expect(await scene.ids("nic")).toEqual(["0000:03:02.2"]);
    expect(scene.warnings).toEqual([
      `devices of claim "nic" are taken by their CDI names: ${error.message}`,
    ]);
  });

  test.each(["no nodeName", "no kubeconfig"])(
    "no such resource, %s: the error names the resource",
    async (cause) => {
      const slices = { [nics]: new CniError(7, cause) };
      const scene = new Scene({ claims, slices });
      expect(await scene.failure("example.com/gpu")).toMatchObject({
        code: 7,
        message: `no device of resource "example.com/gpu" is known: the kubelet allotted claim nic (vf-1, vf-0) to the pod, and ${cause}`,
      });
    },
  );

  test("waits for an API server that does not answer", async () => {
    const slices = { [nics]: new ApiError("no response in time") };
    const failure = await new Scene({ claims, slices }).failure("nic");
    expect(failure).toMatchObject({ code: 11 });
  });

  test("a kubelet before 1.34 names no devices, and no driver", async () => {
    const device = {
      driver: "",
      device: "",
      cdi: ["x/vf=b", "x/vf=a", "x.com/metadata=uid_vf", "odd"],
    };
    const scene = new Scene({ claims: [[{ name: "nic", devices: [device] }]] });
    expect(await scene.ids("nic", "nic")).toEqual(["a", "b"]);
    expect(await scene.failure("nic")).toMatchObject({ code: 7 });
    expect(scene.asked).toEqual([]);
  });
});

describe("Allotment, a claim of the element", () => {
  const claims: Case["claims"] = [
    [
      { name: "web-nic-x1", devices: [nic("vf-0"), nic("vf-1")] },
      { name: "shared", devices: [nic("vf-2")] },
    ],
  ];
  const devices: Attributes = {
    "vf-0": { deviceID: "0" },
    "vf-1": { resourceName: "x/vf", pciBusID: "1" },
    "vf-2": { deviceID: "2" },
  };
  const request = (claimName: string, requestName?: string) => ({
    claim: { claimName, requestName },
  });
  const described = {
    claims,
    metadata: {
      "web-nic-x1": {
        a: { "vf-0": { deviceID: "0" } },
        "b/fast": { "vf-1": { pciBusID: "1" } },
      },
      shared: { a: { "vf-2": { deviceID: "2" } } },
    },
    templates: { "web-nic-x1": "nic" },
  };
  const undescribed = {
    claims,
    slices: { [nics]: devices },
    podClaims: { nic: "web-nic-x1", other: "shared" },
    allocations: { "web-nic-x1": { a: ["vf-0"], "b/fast": ["vf-1"] } },
  };

  test("with a metadata file nobody is asked", async () => {
    const scene = new Scene(described);
    expect(
      await scene.ids(
        request("nic", "b"),
        request("nic"),
        request("shared", "a"),
      ),
    ).toEqual(["1", "0", "2"]);
    expect(scene.asked).toEqual([]);
  });

  test("without one: GET of pod and claim, and a LIST", async () => {
    const scene = new Scene(undescribed);
    expect(await scene.take(request("nic", "b"))).toEqual({
      id: "1",
      resource: "x/vf",
      source: `claim "web-nic-x1" of driver "${nics}"`,
      identity: `${nics} node1 vf-1`,
    });
    expect(scene.asked).toEqual([
      "pod",
      "claim shop/web-nic-x1",
      `slices of ${nics}`,
    ]);
    expect(await scene.take(request("other"))).toMatchObject({
      id: "2",
      resource: "other",
    });
    expect(scene.asked).toHaveLength(3);
  });

  test.each([request("nic", "b"), request("nic")])(
    "of a claim with a GPU that has no metadata file, nobody is asked: %j",
    async (wanted) => {
      const gpu = { driver: gpus, device: "gpu-0", cdi: ["x/gpu=0"] };
      const mixed = { name: "web-nic-x1", devices: [gpu, nic("vf-1")] };
      const b = { "vf-1": { deviceID: "1" } };
      const scene = new Scene({
        claims: [[mixed]],
        metadata: { "web-nic-x1": { b } },
        templates: { "web-nic-x1": "nic" },
      });
      expect(await scene.ids(wanted)).toEqual(["1"]);
      expect(scene.asked).toEqual([]);
    },
  );

  test("a claim that the pod names directly by another name: GET of the pod", async () => {
    const scene = new Scene({ ...described, podClaims: { mine: "shared" } });
    expect(await scene.ids(request("mine", "a"))).toEqual(["2"]);
    expect(scene.asked).toEqual(["pod"]);
  });

  test.each<[string, Partial<Case>, string[]]>([
    [
      "by the allocation",
      {
        ...undescribed,
        allocations: { "web-nic-x1": { a: ["vf-0#s1"], b: ["vf-0#s2"] } },
      },
      ["0", "0"],
    ],
    [
      "by metadata files, which know no shares",
      {
        metadata: {
          "web-nic-x1": {
            a: { "vf-0": { deviceID: "0" } },
            b: { "vf-0": { deviceID: "0" } },
          },
        },
        templates: { "web-nic-x1": "nic" },
      },
      ["0", "0"],
    ],
  ])(
    "two requests for shares of one device, %s",
    async (_, given, expected) => {
      const shares = ["s1", "s2"].map((share) => ({ ...nic("vf-0"), share }));
      const scene = new Scene({
        ...given,
        claims: [[{ name: "web-nic-x1", devices: shares }]],
      });
      const asked = [request("nic", "b"), request("nic", "a")];
      expect(await scene.ids(...asked)).toEqual(expected);
      expect(await scene.failure(request("nic"))).toMatchObject({ code: 7 });
    },
  );

  test("by the allocation, the share of each request", async () => {
    const scene = new Scene({
      ...undescribed,
      claims: [
        [
          {
            name: "web-nic-x1",
            devices: ["s1", "s2"].map((share) => ({ ...nic("vf-0"), share })),
          },
        ],
      ],
      allocations: { "web-nic-x1": { a: ["vf-0#s1"], b: ["vf-0#s2"] } },
    });
    expect(await scene.take(request("nic", "b"))).toMatchObject({
      identity: `${nics} node1 vf-0 s2`,
    });
  });

  test("a claim of the same name in the pod, without a metadata file: GET of the pod", async () => {
    const scene = new Scene({
      ...undescribed,
      podClaims: { shared: "shared" },
    });
    expect(await scene.ids(request("shared"))).toEqual(["2"]);
    expect(scene.asked).toEqual(["pod", `slices of ${nics}`]);
  });

  test("a request that the claim does not have, with a metadata file: nobody is asked", async () => {
    const scene = new Scene(described);
    expect(await scene.failure(request("nic", "c"))).toMatchObject({ code: 7 });
    expect(scene.asked).toEqual([]);
  });

  test("a request with adminAccess to a device of another request: either has it, once", async () => {
    const both = { a: ["vf-0"], admin: ["vf-0"] };
    for (const name of ["a", "admin"]) {
      const scene = new Scene({
        ...undescribed,
        claims: [[{ name: "web-nic-x1", devices: [nic("vf-0")] }]],
        allocations: { "web-nic-x1": both },
      });
      expect(await scene.ids(request("nic", name))).toEqual(["0"]);
      expect(await scene.failure(request("nic", "a"))).toMatchObject({
        code: 7,
      });
    }
  });

  test("of a claim with a GPU, the network device", async () => {
    const slices = {
      [nics]: { "vf-0": { pciBusID: "0" }, "vf-1": { deviceID: "1" } },
    };
    const scene = new Scene({ ...undescribed, slices });
    expect(await scene.ids(request("nic"))).toEqual(["1"]);
    expect(await scene.failure(request("nic"))).toMatchObject({ code: 7 });
  });

  test("of several, the one of the definition's resource", async () => {
    const scene = new Scene(undescribed);
    const wanted = { ...request("nic"), resource: "x/vf" };
    expect(await scene.ids(wanted)).toEqual(["1"]);
  });

  test.each<[string, Case, DeviceRequest, string]>([
    [
      "a claim that is not for this pod",
      undescribed,
      request("foreign"),
      'the pod has no claim "foreign": have nic, other',
    ],
    [
      "a request that the claim does not have",
      undescribed,
      request("nic", "c"),
      'no device of claim "nic", request "c", is left for this network: the kubelet allotted claim web-nic-x1 (vf-0, vf-1), claim shared (vf-2) to the pod',
    ],
    [
      "a device that does not say what it is",
      { ...undescribed, slices: { [nics]: {} } },
      request("nic", "a"),
      'no device of claim "nic", request "a", is left for this network: the kubelet allotted claim web-nic-x1 (vf-0 of no ResourceSlice of this node, vf-1), claim shared (vf-2) to the pod',
    ],
    [
      "a claim of no container",
      { podClaims: { nic: "web-nic-x1" } },
      request("nic"),
      'no device of claim "nic" is left for this network: the kubelet allotted no device to the pod',
    ],
  ])("%s: error 7", async (_, given, wanted, message) => {
    expect(await new Scene(given).failure(wanted)).toEqual({
      code: 7,
      message,
    });
  });
});
