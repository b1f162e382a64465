/**
 * Devices of a pod: allotted by the kubelet or named, in the plugin's
 * configuration, and their information files from the device plugin to the
 * pod's status (selection.md §6). The directory of those files is fixed by the
 * NPWG, so what is written there has names of its own and is removed.
 */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import {
  DelegateDouble,
  failing,
  temporaryDirectory,
} from "../support/delegate.ts";
import {
  deviceInfoDirectory as directory,
  removeDeviceInfoDirectories,
} from "../support/device-info.ts";
import {
  type Kubelet,
  type KubeletFault,
  startKubelet,
  startStranger,
} from "../support/kubelet.ts";
import { type Pod, directoryOptions, nothing } from "../support/node.ts";
import { callPlugin, run } from "../support/runtime.ts";
import { Cluster, networksKey, statusKey } from "../support/cluster.ts";
import { genieBinary } from "../support/build.ts";
import { changed, configure, hot, recorded } from "../support/hot-cluster.ts";

const vendor = `genie-test-${crypto.randomUUID().slice(0, 8)}.example`;
const resource = `${vendor}/vf`;
const ids = ["0000:03:02.0", "0000:03:02.1"] as const;

function infoOf(id: string): object {
  return { type: "pci", version: "1.1.0", pci: { "pci-address": id } };
}

/** As a device plugin does. */
function writeInfo(id: string): void {
  mkdirSync(`${directory}/dp`, { recursive: true });
  writeFileSync(
    `${directory}/dp/${vendor}-vf-${id}-device.json`,
    JSON.stringify(infoOf(id)),
  );
}

/** The files that genie made for a pod. */
function filesOf({ containerId }: Pod): string[] {
  if (!existsSync(`${directory}/cni`)) return [];
  return readdirSync(`${directory}/cni`).filter((file) =>
    file.startsWith(containerId),
  );
}

afterEach(() => {
  for (const id of ids)
    rmSync(`${directory}/dp/${vendor}-vf-${id}-device.json`, { force: true });
});

afterAll(removeDeviceInfoDirectories);

/** A cluster whose plugin `vf` does what it is told, and a kubelet that allotted two devices to the pod. */
class Devices implements AsyncDisposable {
  readonly cluster: Cluster;
  readonly delegates = new DelegateDouble("vf");
  readonly kubelet: Kubelet;

  private constructor(cluster: Cluster, kubelet: Kubelet) {
    this.cluster = cluster;
    this.kubelet = kubelet;
    cluster.node.path.unshift(this.delegates.bin);
    this.delegates.behave("ADD vf", { stdout: { cniVersion: "1.0.0" } });
    const capabilities = { CNIDeviceInfoFile: true, deviceID: true };
    cluster.define(
      "vf",
      { cniVersion: "1.0.0", type: "vf", capabilities },
      { "k8s.v1.cni.cncf.io/resourceName": resource },
    );
    cluster.define("plain", { cniVersion: "1.0.0", type: "vf", capabilities });
  }

  static async start(): Promise<Devices> {
    const pod = {
      namespace: "shop",
      name: "web",
      containers: [[[resource, ...ids] as const]],
    };
    return new Devices(await Cluster.start(), await startKubelet([pod]));
  }

  /** In a mount namespace where the kubelet's socket is where every kubelet has it. */
  async call(command: "ADD" | "CHECK" | "DEL", pod: Pod) {
    const { node } = this.cluster;
    const config = { apiTimeout: 5 };
    const request = node.request(
      command,
      pod,
      this.cluster.options({ config }),
    );
    const binary = node.plugin(
      "beside-a-kubelet",
      `#!/bin/sh
exec unshare --mount sh -ec '
  mount -t tmpfs tmpfs /var/lib
  mkdir -p /var/lib/kubelet/pod-resources
  ln -s ${this.kubelet.socket} /var/lib/kubelet/pod-resources/kubelet.sock
  exec ${request.binary}'
`,
    );
    return callPlugin({ ...request, binary });
  }

  /** The request of the plugin in each ADD. */
  given(): unknown[] {
    return this.delegates
      .calls()
      .filter(({ verb }) => verb === "ADD")
      .map(({ stdin }) => {
        const { deviceID, pciBusID, runtimeConfig } = JSON.parse(
          stdin,
        ) as Record<string, unknown>;
        return { deviceID, pciBusID, runtimeConfig };
      });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.delegates[Symbol.dispose]();
    await this.kubelet.stop();
    await this.cluster[Symbol.asyncDispose]();
  }
}

function path(pod: Pod, ifname: string): string {
  return `${directory}/cni/${pod.containerId}-${ifname}-device.json`;
}

const success = { exitCode: 0, stderr: "" };

describe("devices of a resource", () => {
  test("in order, with their information in the pod's status, gone after DEL", async () => {
    await using devices = await Devices.start();
    const { cluster, kubelet } = devices;
    for (const id of ids) writeInfo(id);
    const pod = await cluster.pod({ [networksKey]: "vf,vf@vf1" });
    expect(await devices.call("ADD", pod)).toMatchObject(success);
    expect(kubelet.calls).toEqual(["Get shop/web"]);
    expect(devices.given()).toEqual(
      ids.map((id, i) => ({
        deviceID: id,
        pciBusID: id,
        runtimeConfig: {
          deviceID: id,
          CNIDeviceInfoFile: path(pod, i === 0 ? "net1" : "vf1"),
        },
      })),
    );
    const entry = { ips: [], default: false, dns: {}, name: "shop/vf" };
    expect(cluster.written().status).toEqual([
      expect.objectContaining({ interface: "eth0" }),
      { ...entry, interface: "net1", "device-info": infoOf(ids[0]) },
      { ...entry, interface: "vf1", "device-info": infoOf(ids[1]) },
    ]);
    expect(filesOf(pod)).toHaveLength(2);
    expect(await devices.call("CHECK", pod)).toMatchObject(success);
    expect(await devices.call("DEL", pod)).toMatchObject(success);
    expect(kubelet.calls).toEqual(["Get shop/web"]);
    expect(filesOf(pod)).toEqual([]);
    expect(await cluster.node.remains()).toEqual(nothing);
  });

  test("additions of the CNI plugin to the file: in the status", async () => {
    await using devices = await Devices.start();
    const { cluster, delegates } = devices;
    writeInfo(ids[0]);
    const pod = await cluster.pod({ [networksKey]: "vf" });
    const told = { ...infoOf(ids[0]), vdpa: { driver: "vhost" } };
    delegates.behave("ADD vf", {
      sh: `cp ${path(pod, "net1")} "$log/before"; printf '%s' '${JSON.stringify(told)}' >${path(pod, "net1")}`,
      stdout: { cniVersion: "1.0.0" },
    });
    expect(await devices.call("ADD", pod)).toMatchObject(success);
    expect(delegates.lines("before")).toEqual([JSON.stringify(infoOf(ids[0]))]);
    expect(cluster.written().status).toMatchObject([
      {},
      { "device-info": told },
    ]);
    await devices.call("DEL", pod);
  });

  test("no file of the device plugin: no device-info, no file", async () => {
    await using devices = await Devices.start();
    const { cluster } = devices;
    const pod = await cluster.pod({ [networksKey]: "vf" });
    expect(await devices.call("ADD", pod)).toMatchObject(success);
    expect(cluster.written().status).toEqual([
      expect.objectContaining({ interface: "eth0" }),
      { name: "shop/vf", interface: "net1", ips: [], default: false, dns: {} },
    ]);
    expect(filesOf(pod)).toEqual([]);
  });

  test.each([
    ["a FIFO", "mkfifo"],
    ["a link", "ln -s /dev/zero"],
    ["a directory", "mkdir"],
  ])(
    "%s in place of the file: no device-info, gone after DEL",
    async (_, make) => {
      await using devices = await Devices.start();
      const { cluster, delegates } = devices;
      const pod = await cluster.pod({ [networksKey]: "vf" });
      delegates.behave("ADD vf", {
        sh: `${make} ${path(pod, "net1")}`,
        stdout: { cniVersion: "1.0.0" },
      });
      expect(await devices.call("ADD", pod)).toMatchObject(success);
      expect(cluster.written().status).toEqual([
        expect.anything(),
        expect.not.objectContaining({ "device-info": expect.anything() }),
      ]);
      expect(filesOf(pod)).toHaveLength(1);
      expect(await devices.call("DEL", pod)).toMatchObject(success);
      expect(filesOf(pod)).toEqual([]);
    },
  );

  test("a claim with the longest name, form A: the device without information", async () => {
    await using devices = await Devices.start();
    const { cluster, kubelet } = devices;
    const name = "c".repeat(253);
    const device = { driver: "", device: "", cdi: [`x/nic=${ids[0]}`] };
    const claims = [[{ name, devices: [device] }]];
    const known = { namespace: "shop", name: "web", containers: [], claims };
    kubelet.pods.splice(0, 1, known);
    const pod = await cluster.pod({
      [networksKey]: [{ name: "plain", resourceName: name }],
    });
    expect(await devices.call("ADD", pod)).toMatchObject(success);
    expect(devices.given()).toMatchObject([{ deviceID: ids[0] }]);
    expect(await devices.call("DEL", pod)).toMatchObject(success);
  });

  test("an abandoned attachment: its file goes when it is dropped", async () => {
    await using devices = await Devices.start();
    const { cluster } = devices;
    writeInfo(ids[0]);
    const pod = await abandonedPod(devices);
    expect(filesOf(pod)).toHaveLength(1);
    cluster.node.command("gc", "--drop-all");
    expect(filesOf(pod)).toEqual([]);
  });

  test("an abandoned attachment of a container that is attached again: its file stays", async () => {
    await using devices = await Devices.start();
    const { cluster, delegates } = devices;
    const config = { podResourcesSocket: devices.kubelet.socket };
    const pod = await abandonedPod(devices);
    writeInfo(ids[0]);
    delegates.behave("ADD vf", { stdout: { cniVersion: "1.0.0" } });
    await cluster.add(pod, { config });
    cluster.node.command("gc", "--drop-all");
    expect(filesOf(pod)).toHaveLength(1);
  });

  test("the plugin fails: the file is gone with everything else", async () => {
    await using devices = await Devices.start();
    const { cluster, delegates } = devices;
    writeInfo(ids[0]);
    delegates.behave("ADD vf", {
      exit: 1,
      stdout: { code: 101, msg: "no such VF" },
    });
    const pod = await cluster.pod({ [networksKey]: "vf" });
    const { exitCode, json } = await devices.call("ADD", pod);
    expect({ exitCode, json }).toMatchObject({
      exitCode: 1,
      json: { code: 101 },
    });
    expect(filesOf(pod)).toEqual([]);
    expect(
      readFileSync(
        `${directory}/dp/${vendor}-vf-${ids[0]}-device.json`,
        "utf8",
      ),
    ).toBe(JSON.stringify(infoOf(ids[0])));
    expect(await cluster.node.remains()).toEqual(nothing);
  });
});

test("devices of a running pod: each once, also with the same ID; repaired with its information", async () => {
  await using devices = await Devices.start();
  const { cluster, kubelet } = devices;
  const [id] = ids;
  const other = `${vendor}/other`;
  const containers = [[[resource, id] as const, [other, id] as const]];
  kubelet.pods.splice(0, 1, { namespace: "shop", name: "web", containers });
  writeInfo(id);
  const config = { podResourcesSocket: kubelet.socket };
  configure(cluster, config);
  copyFileSync(
    join(devices.delegates.bin, "vf"),
    cluster.node.plugin("vf", ""),
  );
  const pod = await cluster.attach([{ name: "plain", resourceName: other }], {
    config,
  });
  const attach = ["attach", "shop/web", "shop/vf@vf1"] as const;
  // The device of a failed try, whose rollback failed too, is that network's own.
  for (const verb of ["ADD", "DEL"])
    devices.delegates.behave(`${verb} vf`, failing("no such VF"));
  expect((await hot(cluster, ...attach)).exitCode).toBe(1);
  expect(recorded(cluster, pod)).toHaveLength(3);
  devices.delegates.behave("DEL vf", {});
  devices.delegates.behave("ADD vf", { stdout: { cniVersion: "1.0.0" } });
  await changed(cluster, ...attach);
  const given = { deviceID: id, pciBusID: id };
  expect(devices.given()).toMatchObject([given, given, given]);
  const { exitCode, stderr } = await hot(
    cluster,
    "attach",
    "shop/web",
    "shop/vf@vf2",
  );
  expect({ exitCode, stderr }).toEqual({
    exitCode: 1,
    stderr: `genie attach: no device of resource "${resource}" is left for this network: the kubelet allotted ${resource} (1), ${other} (1) to the pod\n`,
  });
  const repair = {
    verb: "repair",
    containerId: pod.containerId,
    ifname: "eth0",
    interface: "vf1",
  };
  const repaired = await run(
    [genieBinary(), "change-pod", ...directoryOptions(cluster.node)],
    { stdin: JSON.stringify(repair) },
  );
  expect(repaired).toMatchObject(success);
  expect(readFileSync(path(pod, "vf1"), "utf8")).toBe(
    JSON.stringify(infoOf(id)),
  );
  const { status } = cluster.node.results(pod);
  expect(JSON.parse(status?.annotations[statusKey] ?? "")).toMatchObject([
    {},
    { interface: "net1" },
    { interface: "vf1", "device-info": infoOf(id) },
  ]);
  await cluster.del(pod, { config });
  expect(filesOf(pod)).toEqual([]);
});

test.each<[string, KubeletFault | undefined]>([
  ["accepts and says nothing", undefined],
  ["never answers", { method: "Get", kind: "hang" }],
])(
  "a kubelet that %s: apiTimeout, then error 11, nothing executed",
  async (_, fault) => {
    await using devices = await Devices.start();
    await using stranger = startStranger("");
    const { cluster, kubelet } = devices;
    if (fault) kubelet.inject(fault);
    const socket = fault ? kubelet.socket : stranger.socket;
    const pod = await cluster.pod({ [networksKey]: "vf" });
    const { config } = cluster.options();
    const began = performance.now();
    const failure = await cluster.node.fail("ADD", pod, {
      config: { ...config, podResourcesSocket: socket, apiTimeout: 1.5 },
    });
    expect(failure).toMatchObject({
      code: 11,
      msg: `failed to get devices of pod "shop/web" from kubelet at "${socket}": no response in time`,
    });
    expect(performance.now() - began).toBeLessThan(10_000);
    expect(devices.delegates.calls()).toEqual([]);
    expect(await cluster.node.remains()).toEqual(nothing);
  },
);

test("a later element that contradicts its definition, no kubelet: error 7 at once", async () => {
  await using devices = await Devices.start();
  const { cluster } = devices;
  const pod = await cluster.pod({
    [networksKey]: [{ name: "vf" }, { name: "vf", resourceName: "x.com/y" }],
  });
  const config = { podResourcesSocket: "/nonexistent/kubelet.sock" };
  expect(await cluster.refuse(pod, { config })).toEqual({
    code: 7,
    msg: `network-attachment-definition "shop/vf" has devices of "${resource}": the pod asks for "x.com/y"`,
  });
  expect(devices.delegates.calls()).toEqual([]);
});

test("a resource that only a claim could have, no nodeName or another: the error says so, nothing executed", async () => {
  await using devices = await Devices.start();
  const { cluster, kubelet } = devices;
  const claim = {
    name: "nic",
    devices: [{ driver: "nic.example", device: "vf-0" }],
  };
  kubelet.pods.splice(0, 1, {
    namespace: "shop",
    name: "web",
    containers: [],
    claims: [[claim]],
  });
  const pod = await cluster.pod({ [networksKey]: "vf" });
  const config = { podResourcesSocket: kubelet.socket };
  expect(await cluster.refuse(pod, { config })).toEqual({
    code: 7,
    msg: `no device of resource "${resource}" is known: the kubelet allotted claim nic (vf-0) to the pod, and the devices of driver "nic.example" on this node are unknown: nodeName is not configured`,
  });
  const elsewhere = { ...config, nodeName: "another" };
  expect(await cluster.refuse(pod, { config: elsewhere })).toEqual({
    code: 7,
    msg: `no device of resource "${resource}" is left for this network: the kubelet allotted claim nic (vf-0 of no ResourceSlice of this node) to the pod`,
  });
  expect(devices.delegates.calls()).toEqual([]);
  expect(await cluster.node.remains()).toEqual(nothing);
});

test("a device that is just named: its ID and a file, the kubelet is not asked", async () => {
  await using devices = await Devices.start();
  const { cluster, kubelet } = devices;
  const id = "0000:05:00.0";
  const pod = await cluster.pod({
    [networksKey]: [{ name: "plain", deviceID: id }],
  });
  devices.delegates.behave("ADD vf", {
    sh: `printf '%s' '${JSON.stringify(infoOf(id))}' >${path(pod, "net1")}`,
    stdout: { cniVersion: "1.0.0" },
  });
  expect(await devices.call("ADD", pod)).toMatchObject(success);
  expect(kubelet.calls).toEqual([]);
  expect(devices.given()).toEqual([
    {
      deviceID: undefined,
      pciBusID: undefined,
      runtimeConfig: { deviceID: id, CNIDeviceInfoFile: path(pod, "net1") },
    },
  ]);
  expect(cluster.written().status).toMatchObject([
    {},
    { "device-info": infoOf(id) },
  ]);
  expect(await devices.call("DEL", pod)).toMatchObject(success);
  expect(filesOf(pod)).toEqual([]);
});

/** The chunk of the executable that this statement of it imports. */
function chunkOf(binary: string, statement: string): string {
  const text = readFileSync(binary).toString("latin1");
  const at = text.indexOf(`const { ${statement} } = await import("`);
  const name = /chunk-\w+\.js/.exec(text.slice(at, at + 200))?.[0];
  if (at < 0 || name === undefined) throw new Error(`no ${statement}`);
  return name;
}

test.each<[string, unknown, string[]]>([
  ["no device: neither", "plain", []],
  ["a device: both", [{ name: "plain", deviceID: "d" }], ["allot", "info"]],
])("modules for devices that ADD loads, %s", async (_, networks, expected) => {
  await using devices = await Devices.start();
  const { cluster } = devices;
  const pod = await cluster.pod({ [networksKey]: networks });
  const request = cluster.node.request("ADD", pod, cluster.options());
  const { stderr, exitCode } = await callPlugin({
    ...request,
    binary: cluster.node.plugin(
      "reporting",
      `#!/bin/sh\nexport BUN_JSC_reportBytecodeCacheDecodeTimes=1\nexec ${request.binary}\n`,
    ),
  });
  expect(exitCode).toBe(0);
  const chunks = {
    allot: chunkOf(request.binary, "allotDevices"),
    info: chunkOf(request.binary, "deviceInfoArgs"),
  };
  const loaded = Object.entries(chunks).filter(([, name]) =>
    stderr.includes(`decoded /$bunfs/root/${name}`),
  );
  expect(loaded.map(([what]) => what)).toEqual(expected);
});

describe("devices of a claim", () => {
  const driver = "nic.example.com";
  const claim = {
    name: "web-nic-x1",
    devices: [
      { driver, device: "vf-10" },
      { driver, device: "vf-2" },
    ],
  };
  const attributes = (device: string) => ({
    "k8s.cni.cncf.io/resourceName": { string: resource },
    "k8s.cni.cncf.io/deviceID": { string: ids[device === "vf-2" ? 0 : 1] },
  });
  const slice = {
    spec: {
      nodeName: "node1",
      driver,
      pool: { name: "node1", generation: 1 },
      devices: claim.devices.map(({ device }) => ({
        name: device,
        attributes: attributes(device),
      })),
    },
  };
  const metadata = {
    kind: "DeviceMetadata",
    apiVersion: "metadata.resource.k8s.io/v1beta1",
    podClaimName: "nic",
    requests: [
      {
        name: "vf",
        devices: claim.devices.map(({ device }) => ({
          driver,
          pool: "node1",
          name: device,
          attributes: attributes(device),
        })),
      },
    ],
  };

  /** The kubelet's directory, with a metadata file if one is given. */
  function kubeletDirectory(root: string, socket: string, file?: object) {
    mkdirSync(join(root, "pod-resources"));
    const inRoot = join(root, "pod-resources/kubelet.sock");
    symlinkSync(socket, inRoot);
    if (file) {
      const below = `plugins/${driver}/dra-device-metadata/shop_${claim.name}/vf`;
      mkdirSync(join(root, below), { recursive: true });
      writeFileSync(join(root, below, "metadata.json"), JSON.stringify(file));
    }
    return inRoot;
  }

  const list =
    "/apis/resource.k8s.io/v1/resourceslices?fieldSelector=spec.nodeName%3Dnode1%2Cspec.driver%3Dnic.example.com";
  const byClaim = {
    name: "plain",
    resourceClaim: { claimName: "nic", requestName: "vf" },
  };
  const byResource = { name: "plain", resourceName: resource };

  test.each<[string, unknown, object | undefined, string[]]>([
    ["of the definition, no file: one LIST", "vf,vf", undefined, [list]],
    [
      "of the elements, a file: no request",
      [byResource, byResource],
      metadata,
      [],
    ],
    [
      "of a claim of the elements, a file: no request",
      [byClaim, byClaim],
      metadata,
      [],
    ],
    [
      "of a claim of the elements, no file: pod, claim and one LIST",
      [byClaim, byClaim],
      undefined,
      [
        "/api/v1/namespaces/shop/pods/web",
        `/apis/resource.k8s.io/v1/namespaces/shop/resourceclaims/${claim.name}`,
        list,
      ],
    ],
  ])("%s", async (_, networks, file, expected) => {
    await using devices = await Devices.start();
    using root = temporaryDirectory();
    const { cluster, kubelet } = devices;
    kubelet.pods.splice(0, 1, {
      namespace: "shop",
      name: "web",
      containers: [],
      claims: [[claim]],
    });
    writeInfo(ids[0]);
    cluster.api.slices.push(slice);
    const results = claim.devices.map(({ device }) => ({
      request: "vf",
      driver,
      pool: "node1",
      device,
    }));
    cluster.api.claims.put({
      metadata: { namespace: "shop", name: claim.name },
      status: { allocation: { devices: { results } } },
    });
    const podResourcesSocket = kubeletDirectory(
      root.path,
      kubelet.socket,
      file,
    );
    const config = { podResourcesSocket, nodeName: "node1" };
    const pod = await cluster.pod({ [networksKey]: networks });
    const { metadata: known } = cluster.api.pods.get("shop", "web") ?? {};
    if (known)
      cluster.api.pods.put({
        metadata: known,
        spec: {
          resourceClaims: [{ name: "nic", resourceClaimName: claim.name }],
        },
      });
    const calls = join(cluster.node.dataDir, "calls.log");
    mkdirSync(cluster.node.dataDir, { recursive: true, mode: 0o700 });
    writeFileSync(calls, "");
    await cluster.add(pod, { config });
    expect(devices.given()).toMatchObject(
      ids.map((id) => ({ deviceID: id, pciBusID: id })),
    );
    expect(cluster.written().status).toMatchObject([
      {},
      { "device-info": infoOf(ids[0]) },
      {},
    ]);
    // The first GET of the pod is for its annotations.
    const asked = cluster.api.requests
      .filter(
        ({ method, path: one }) => method === "GET" && !one.includes("k8s.cni"),
      )
      .map(({ path: one }) => one);
    expect(asked.slice(1)).toEqual(expected);
    const { requests } = JSON.parse(readFileSync(calls, "utf8")) as {
      requests: { verb: string; resource: string }[];
    };
    expect(
      requests
        .filter(({ verb }) => verb === "list")
        .map(({ resource: kind }) => kind),
    ).toEqual(expected.includes(list) ? ["resourceslices"] : []);
    cluster.api.requests.length = 0;
    await cluster.del(pod, { config });
    expect(cluster.api.requests).toEqual([]);
    expect(kubelet.calls).toEqual(["Get shop/web"]);
    expect(filesOf(pod)).toEqual([]);
  });
});

/** A pod whose network with a device could be neither added nor deleted. */
async function abandonedPod(devices: Devices): Promise<Pod> {
  const { cluster, delegates } = devices;
  for (const verb of ["ADD", "DEL"])
    delegates.behave(`${verb} vf`, failing("no such VF"));
  const config = { podResourcesSocket: devices.kubelet.socket };
  const pod = await cluster.pod({ [networksKey]: "vf" });
  await cluster.refuse(pod, { config });
  await cluster.del(pod, { config });
  return pod;
}
