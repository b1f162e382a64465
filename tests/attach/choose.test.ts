/**
 * From annotations to attachments: the definitions that are fetched, their devices,
 * the refusals before and after (selection.md §6).
 */
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { choose } from "../../lib/attach/choice/choose.ts";
import { createContext } from "../../lib/attach/context.ts";
import type { Dependencies } from "../../lib/attach/dependencies.ts";
import { parseConf } from "../../lib/cni/conflist.ts";
import { Code, CniError } from "../../lib/cni/error.ts";
import { ApiError } from "../../lib/kube/api-error.ts";
import type { Kube } from "../../lib/kube/client.ts";
import { Allotment } from "../../lib/kubelet/allotment.ts";
import { Deadline } from "../../lib/linux/deadline.ts";
import type {
  Annotations,
  Attachment,
  Device,
} from "../../lib/select/attachment.ts";
import { networksOf } from "../../lib/select/node-networks.ts";
import { temporaryDirectory, writeFiles } from "../support/delegate.ts";
import { containersOf } from "../support/kubelet.ts";

const networksKey = "k8s.v1.cni.cncf.io/networks";
const defaultKey = "v1.multus-cni.io/default-network";
const resourceKey = "k8s.v1.cni.cncf.io/resourceName";

const shop = "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_UID=1";

interface Case {
  annotations: Annotations;
  /** `<namespace>/<name>` → `spec.config`, or the error of the API server. */
  definitions?: Record<string, object | ApiError>;
  resources?: Record<string, string>;
  /** Resource → devices of the pod. */
  devices?: Record<string, string[]>;
  config?: object;
  args?: string;
}

/** Without its interface name, which depends on the choice alone. */
type Network = Omit<Attachment, "ifname">;

interface Outcome {
  /** The networks of definitions. */
  networks: Network[];
  isReported?: boolean;
  /** The GETs of the API server, in the order in which they came. */
  gets: string[];
  /** How many of them were under way at once. */
  concurrent: number;
  /** How often the kubelet was asked. */
  kubelet: number;
  log: string;
}

/** A call of choose with everything but the plugins in memory. */
const plugins = temporaryDirectory();
afterAll(() => plugins[Symbol.dispose]());
writeFiles(plugins.path, { bridge: "", macvlan: "", sriov: "" });
for (const type of ["bridge", "macvlan", "sriov"])
  chmodSync(join(plugins.path, type), 0o755);

class Scene {
  readonly gets: string[] = [];
  concurrent = 0;
  kubelet = 0;
  log = "";
  readonly #given: Case;
  #pending = 0;

  constructor(given: Case) {
    this.#given = given;
  }

  async run(): Promise<Outcome> {
    const { annotations, config = {}, args = shop } = this.#given;
    const request = {
      command: "ADD",
      containerId: "c1",
      netns: "/run/netns/a",
      ifname: "eth0",
      args,
      path: [plugins.path],
      config: { name: "genie-net", type: "genie", ...config },
      cniVersion: "1.0.0",
    } as const;
    const list = parseConf({ name: "cluster", type: "bridge" });
    const files = [{ file: "10-cluster.conf", list }];
    const ofNode = networksOf("/etc/cni/net.d", files, ["genie"]);
    const { attachments, isReported } = await choose(
      createContext(request, this.#dependencies()),
      { annotations },
      ofNode,
      () => Promise.resolve(this.#kube()),
      new Deadline(1000, () => 0),
    );
    const { gets, concurrent, kubelet, log } = this;
    const chosen = attachments.map(
      ({ ifname: _ifname, ...network }) => network,
    );
    const ofDefinitions = chosen.filter(({ definition }) => definition);
    return {
      networks: ofDefinitions,
      isReported,
      gets,
      concurrent,
      kubelet,
      log,
    };
  }

  #kube(): Kube {
    return {
      getPod: () => expect.unreachable("the pod is known"),
      get: () => expect.unreachable("no claim is asked for"),
      patchPodStatus: () => expect.unreachable("nothing is written"),
      connect: () => expect.unreachable("nothing is written"),
      getDefinition: async (namespace, name) => {
        const key = `${namespace}/${name}`;
        this.gets.push(key);
        this.concurrent = Math.max(this.concurrent, ++this.#pending);
        await Promise.resolve();
        this.#pending--;
        const response = this.#given.definitions?.[key];
        if (!response)
          throw new ApiError(`failed to get ${key}: not found`, 404);
        if (response instanceof ApiError) throw response;
        if (response === awaited) return new Promise(() => {});
        const resource = this.#given.resources?.[key];
        return {
          metadata: {
            annotations:
              resource === undefined ? {} : { [resourceKey]: resource },
          },
          spec: { config: JSON.stringify(response) },
        };
      },
    };
  }

  #dependencies(): Dependencies {
    const never = () => expect.unreachable("not needed here");
    return {
      exec: never,
      env: {},
      stderr: (text) => void (this.log += text),
      clock: () => 0,
      now: () => new Date(0),
      sleep: Bun.sleep,
      kube: never,
      checkKube: never,
      devices: async (_, __, { inUse }) => {
        this.kubelet++;
        const devices = Object.entries(this.#given.devices ?? {});
        const containers = [
          devices.map(([name, ids]) => [name, ...ids] as const),
        ];
        const none = () => expect.unreachable("the pod has no claims");
        const sources = {
          metadata: none,
          slices: none,
          podClaims: none,
          allocation: none,
          debug: none,
          warn: none,
        };
        const listed = containersOf({ containers });
        const allotment = new Allotment(listed, sources, inUse);
        return (request) => allotment.take(request);
      },
      bootId: never,
      uptimeMs: never,
      self: () => undefined,
    };
  }
}

/** A definition that never comes. */
const awaited = { type: "awaited" };

function defined(given: Case): Promise<Outcome> {
  return new Scene(given).run();
}

async function refusal(given: Case) {
  const scene = new Scene(given);
  try {
    await scene.run();
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    const { gets } = scene;
    return { code: error.code, message: error.message, gets };
  }
  throw new Error("nothing is wrong with it");
}

const lan = { cniVersion: "1.0.0", name: "lan", type: "bridge" };
const wan = { cniVersion: "1.0.0", name: "wan", type: "macvlan" };

/** The network of a bare element. */
function plain(definition: string, config: object): Network {
  const [namespace = "", network = ""] = definition.split("/");
  return {
    list: parseConf(config),
    definition,
    element: { network, namespace },
    capabilityArgs: {},
    args: shop,
  };
}

type Expected = Pick<Outcome, "networks" | "gets"> & Partial<Outcome>;

const silent = { isReported: true, concurrent: 1, kubelet: 0, log: "" };

describe("choose, names", () => {
  const definitions = {
    "shop/lan": lan,
    "shared/lan": wan,
    "kube-system/lan": wan,
    "infra/lan": wan,
  };
  const cases: [string, Case, Expected][] = [
    [
      "blank: no request",
      { annotations: { [networksKey]: " ", [defaultKey]: "" } },
      { networks: [], gets: [], concurrent: 0 },
    ],
    [
      "the pod's namespace",
      { annotations: { [networksKey]: "lan" } },
      { networks: [plain("shop/lan", lan)], gets: ["shop/lan"] },
    ],
    [
      "another namespace",
      { annotations: { [networksKey]: '{"name":"lan","namespace":"shared"}' } },
      { networks: [plain("shared/lan", wan)], gets: ["shared/lan"] },
    ],
    [
      "several: at once, each once, in order",
      { annotations: { [networksKey]: "lan,shared/lan,shop/lan,lan" } },
      {
        networks: [
          plain("shop/lan", lan),
          plain("shared/lan", wan),
          plain("shop/lan", lan),
          plain("shop/lan", lan),
        ],
        gets: ["shop/lan", "shared/lan"],
        concurrent: 2,
      },
    ],
    [
      "the default network, bare: of kube-system",
      { annotations: { [defaultKey]: "lan" } },
      {
        networks: [plain("kube-system/lan", wan)],
        gets: ["kube-system/lan"],
      },
    ],
    [
      "systemNamespace",
      {
        annotations: { [defaultKey]: "lan" },
        config: { systemNamespace: "infra" },
      },
      {
        networks: [plain("infra/lan", wan)],
        gets: ["infra/lan"],
      },
    ],
    [
      "no pod, a namespace is given",
      { annotations: { [networksKey]: "shop/lan" }, args: "" },
      {
        networks: [{ ...plain("shop/lan", lan), args: "" }],
        gets: ["shop/lan"],
      },
    ],
  ];
  test.each(cases)("%s", async (_, given, expected) => {
    expect(await defined({ definitions, ...given })).toEqual({
      ...silent,
      ...expected,
    });
  });

  test("warnings go to the log", async () => {
    const annotations = {
      [networksKey]: '{"name":"lan","colour":"red","ips":["10.0.0.1"]}',
    };
    const { log } = await defined({ annotations, definitions });
    expect(log).toContain('unknown keys are ignored: element 1: "colour"');
    expect(log).toContain(
      '"ips" is requested, but no plugin declares that capability',
    );
  });
});

describe("choose, namespaceIsolation", () => {
  const definitions = {
    "shop/lan": lan,
    "default/lan": lan,
    "shared/lan": lan,
    "kube-system/lan": lan,
  };
  const isolated = { namespaceIsolation: true };
  const allowed: [string, Annotations, object][] = [
    ["the pod's own", { [networksKey]: "lan" }, isolated],
    ["default", { [networksKey]: "default/lan" }, isolated],
    [
      "one of globalNamespaces",
      { [networksKey]: "shared/lan" },
      { ...isolated, globalNamespaces: ["shared"] },
    ],
    [
      "the pod's own, no global ones",
      { [networksKey]: "shop/lan" },
      { ...isolated, globalNamespaces: [] },
    ],
    [
      "the default network of a global one",
      { [defaultKey]: "lan" },
      { ...isolated, globalNamespaces: ["kube-system"] },
    ],
    ["off: any", { [networksKey]: "shared/lan" }, { globalNamespaces: [] }],
  ];
  test.each(allowed)("%s is allowed", async (_, annotations, config) => {
    expect(await defined({ annotations, config, definitions })).toMatchObject({
      gets: [expect.any(String)],
    });
  });

  const refused: [string, Annotations, object, string][] = [
    [
      "another",
      { [networksKey]: "lan,shared/lan" },
      isolated,
      'network-attachment-definition "shared/lan" is outside of the pod\'s namespace: namespaceIsolation allows default',
    ],
    [
      "default, which is none of globalNamespaces",
      { [networksKey]: "default/lan" },
      { ...isolated, globalNamespaces: ["shared", "infra", "a\n"] },
      'namespaceIsolation allows shared, infra, "a\\n"',
    ],
    [
      "any other",
      { [networksKey]: "default/lan" },
      { ...isolated, globalNamespaces: [] },
      "namespaceIsolation allows no other",
    ],
    [
      "the default network",
      { [defaultKey]: "lan" },
      isolated,
      'network-attachment-definition "kube-system/lan" is outside',
    ],
  ];
  test.each(refused)(
    "%s is an error 7 without a request",
    async (_, annotations, config, message) => {
      expect(await refusal({ annotations, config, definitions })).toEqual({
        code: 7,
        message: expect.stringContaining(message),
        gets: [],
      });
    },
  );

  test("outside of Kubernetes no namespace is the pod's own", async () => {
    const annotations = { [networksKey]: "shop/lan" };
    expect(
      await refusal({ annotations, config: isolated, definitions, args: "" }),
    ).toMatchObject({ code: 7, gets: [] });
  });
});

describe("choose, refusals", () => {
  const definitions = {
    "shop/lan": lan,
    "shop/forbidden": new ApiError("failed to get it: forbidden", 403),
    "shop/silent": new ApiError("failed to get it: no response"),
    "shop/waiting": awaited,
  };
  const cases: [string, Annotations, number, string][] = [
    [
      "a missing definition",
      { [networksKey]: "lan,nowhere" },
      Code.invalidNetworkConfig,
      "failed to get shop/nowhere: not found",
    ],
    [
      "a missing definition after one that is still awaited",
      { [networksKey]: "waiting,nowhere" },
      Code.invalidNetworkConfig,
      "failed to get shop/nowhere: not found",
    ],
    ["403", { [networksKey]: "forbidden" }, Code.tryAgainLater, "forbidden"],
    [
      "no response",
      { [networksKey]: "silent" },
      Code.tryAgainLater,
      "no response",
    ],
    [
      "two default networks",
      { [defaultKey]: "lan,lan" },
      Code.invalidNetworkConfig,
      'annotation "v1.multus-cni.io/default-network" names more than one network',
    ],
  ];
  test.each(cases)("%s", async (_, annotations, code, message) => {
    expect(await refusal({ annotations, definitions })).toMatchObject({
      code,
      message: expect.stringContaining(message),
    });
  });

  test("a choice that cannot be met: refused without a request", async () => {
    const annotations = { cni: "gone", [networksKey]: "lan" };
    expect(await refusal({ annotations, definitions })).toMatchObject({
      code: 7,
      gets: [],
    });
  });

  test("a bare name without a pod", async () => {
    const annotations = { [networksKey]: "lan" };
    expect(await refusal({ annotations, definitions, args: "" })).toEqual({
      code: 7,
      message:
        'annotation "k8s.v1.cni.cncf.io/networks": network "lan" has no namespace, and no pod is known',
      gets: [],
    });
  });
});

describe("choose, isReported", () => {
  test.each<[boolean, string, Annotations]>([
    [false, "one network", { cni: "cluster" }],
    [true, "several networks", { cni: "cluster,cluster" }],
    [true, "one network and the NPWG annotation", { [networksKey]: "" }],
    [
      true,
      "one network and a status of an earlier sandbox",
      { "k8s.v1.cni.cncf.io/network-status": "[]" },
    ],
    [
      false,
      "one network and no annotation of NPWG",
      { "multi-ip-preferences": "{}" },
    ],
  ])("is %p for %s", async (expected, _, annotations) => {
    expect((await defined({ annotations })).isReported).toBe(expected);
  });
});

describe("choose, devices", () => {
  const vf = { cniVersion: "1.0.0", name: "vf", type: "sriov" };
  const definitions = {
    "shop/vf": vf,
    "shop/lan": { ...lan, capabilities: { deviceID: true } },
  };
  const resources = { "shop/vf": "intel.com/sriov" };
  const devices = { "intel.com/sriov": ["0000:03:02.0", "0000:03:02.1"] };

  const ofPlugin = { resource: "intel.com/sriov", source: "device plugin" };

  const deviceOf = ({ device }: Network) => {
    if (device === undefined) return undefined;
    const { identity: _identity, ...told } = device;
    return told;
  };

  test.each(["", " "])(
    "a definition's annotation %j names no resource",
    async (blank) => {
      const { networks, kubelet } = await defined({
        annotations: { [networksKey]: "lan" },
        definitions,
        resources: { "shop/lan": blank },
        devices,
      });
      expect({ devices: networks.map(deviceOf), kubelet }).toEqual({
        devices: [undefined],
        kubelet: 0,
      });
    },
  );

  test("of a resource: one request to the kubelet, in order, none twice", async () => {
    const annotations = { [networksKey]: "vf,lan,vf" };
    const { networks, kubelet } = await defined({
      annotations,
      definitions,
      resources,
      devices,
    });
    expect({ devices: networks.map(deviceOf), kubelet }).toEqual({
      devices: [
        { ...ofPlugin, id: "0000:03:02.0" },
        undefined,
        { ...ofPlugin, id: "0000:03:02.1" },
      ],
      kubelet: 1,
    });
  });

  test.each<[string, string, Device]>([
    [
      "the element names it, the definition does not",
      '{"name":"lan","resourceName":"intel.com/sriov"}',
      { ...ofPlugin, id: "0000:03:02.0" },
    ],
    [
      "both name the same",
      '{"name":"vf","resourceName":"intel.com/sriov"}',
      { ...ofPlugin, id: "0000:03:02.0" },
    ],
    [
      "the definition's resource decides, a deviceID has no effect",
      '{"name":"vf","deviceID":"0000:03:02.0"}',
      { ...ofPlugin, id: "0000:03:02.0" },
    ],
    [
      "the element's resource decides, its deviceID has no effect",
      '{"name":"lan","resourceName":"intel.com/sriov","deviceID":"0000:05:00.0"}',
      { ...ofPlugin, id: "0000:03:02.0" },
    ],
  ])("%s", async (_, element, expected) => {
    const { networks, kubelet, log } = await defined({
      annotations: { [networksKey]: element },
      definitions,
      resources,
      devices,
    });
    expect({ devices: networks.map(deviceOf), kubelet }).toEqual({
      devices: [expected],
      kubelet: 1,
    });
    expect(log.includes("is ignored")).toBe(element.includes("deviceID"));
  });

  test.each<[string, string, object, string]>([
    [
      "element and definition name different resources",
      '{"name":"vf","resourceName":"intel.com/other"}',
      {},
      'network-attachment-definition "shop/vf" has devices of "intel.com/sriov": the pod asks for "intel.com/other"',
    ],
    [
      "a deviceID without effect, on a strict node",
      '{"name":"vf","deviceID":"0000:05:00.0"}',
      { strict: true },
      'network-attachment-definition "shop/vf": "deviceID" is ignored: the resource decides the device',
    ],
    [
      "a deviceID beside resourceClaim, on a strict node",
      '{"name":"lan","resourceClaim":{"claimName":"nic"},"deviceID":"0000:05:00.0"}',
      { strict: true },
      'network-attachment-definition "shop/lan": "deviceID" is ignored: the claim decides the device',
    ],
  ])("%s: error 7", async (_, element, config, message) => {
    const annotations = { [networksKey]: element };
    const given = { annotations, definitions, resources, devices, config };
    expect(await refusal(given)).toMatchObject({ code: 7, message });
  });

  test("a device that another element names is not handed out again", async () => {
    const named = { name: "lan", deviceID: "0000:03:02.0" };
    const elements = JSON.stringify([{ name: "vf" }, named]);
    const annotations = { [networksKey]: elements };
    const { networks } = await defined({
      annotations,
      definitions,
      resources,
      devices,
    });
    expect(networks.map(deviceOf)).toMatchObject([
      { id: "0000:03:02.1" },
      { id: "0000:03:02.0" },
    ]);
  });

  test("a contradiction in a later element is told before the kubelet is asked", async () => {
    const elements = [{ name: "vf" }, { name: "vf", resourceName: "x.com/y" }];
    const annotations = { [networksKey]: JSON.stringify(elements) };
    const given = { annotations, definitions, resources, devices: {} };
    expect(await refusal(given)).toMatchObject({
      code: 7,
      message:
        'network-attachment-definition "shop/vf" has devices of "intel.com/sriov": the pod asks for "x.com/y"',
    });
  });

  test("just named: no request to the kubelet", async () => {
    const annotations = {
      [networksKey]: '{"name":"lan","deviceID":"0000:05:00.0"}',
    };
    const { networks, kubelet } = await defined({
      annotations,
      definitions,
      resources,
      devices,
    });
    expect({ devices: networks.map(deviceOf), kubelet }).toEqual({
      devices: [{ id: "0000:05:00.0" }],
      kubelet: 0,
    });
  });

  test("no pod: error 7", async () => {
    const annotations = { [networksKey]: "shop/vf" };
    expect(
      await refusal({ annotations, definitions, resources, devices, args: "" }),
    ).toMatchObject({
      code: 7,
      message: "container c1 has no pod that devices are allotted to",
    });
  });
});
