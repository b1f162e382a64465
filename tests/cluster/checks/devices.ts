/**
 * Networks with devices (docs/devices.md): a device plugin and DRA drivers at the real
 * kubelet, pods with one and two devices, two containers, a claim with a GPU, both ways
 * of writing a resource, an element that names a resource or a claim, a claim of another
 * pod. All of it is gone afterwards, but for the drivers.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { naturalOrder } from "../../../lib/kubelet/natural-order.ts";
import { run } from "../../../scripts/run.ts";
import { expectEqual, expectMatch } from "../expect.ts";
import { applyManifest, install, installed } from "../genie.ts";
import type { Kubectl } from "../kubectl.ts";
import { nodeName } from "../kubelet.ts";
import { binDir } from "../networks.ts";
import {
  makeLinks,
  startDevicePlugin,
  startDriver,
} from "../kubelet-plugins.ts";
import { type Cluster, auditOf } from "../node.ts";
import {
  deletePods,
  eventOf,
  networks,
  podSpec,
  statusOf,
  waitReady,
} from "../pod.ts";
import type { Report } from "../report.ts";
import { until } from "../until.ts";
import { expectNothing } from "./pods.ts";

const resource = "genie.test/vf";
const claimed = "genie.test/nic";
const plugged = ["vf-10", "vf-2", "vf-3", "vf-11", "vf-4", "vf-12"];
const cni = "k8s.cni.cncf.io";

/** The device of each is the name of a link. */
const drivers = [
  {
    name: "nic.genie.test",
    extended: claimed,
    devices: Object.fromEntries(
      ["nic-0", "nic-1", "nic-2", "nic-3"].map((id) => [
        id,
        { [`${cni}/resourceName`]: claimed, [`${cni}/deviceID`]: id },
      ]),
    ),
  },
  {
    name: "described.genie.test",
    devices: {
      "own-0": { "resource.kubernetes.io/pciBusID": "own-0" },
      "own-1": { "resource.kubernetes.io/pciBusID": "own-1" },
    },
    describes: true,
  },
  { name: "gpu.genie.test", devices: { "gpu-0": {} } },
  { name: "old.genie.test", devices: { "old-0": {} } },
] as const;

const nics = Object.keys(drivers[0].devices);

const links = [
  ...plugged,
  ...drivers.flatMap(({ devices }) => Object.keys(devices)),
];

interface Case {
  /** Elements of the annotation. */
  networks: object[];
  /** For each container: limits or names of claims. */
  containers: { limit?: number; of?: string; claims?: string[] }[];
  /** Name in the pod → template, or claim by `=name`. */
  claims?: Record<string, string>;
  /** The devices that its networks may have; in this order, if there is one for each. */
  devices: readonly string[];
  /** Resources of the requests for its devices. */
  requests: string[];
}

const element = { claimName: "nic", requestName: "vf" };

const all: Readonly<Record<string, Case>> = {
  "plugin-two": {
    networks: [{ name: "vf" }, { name: "vf" }],
    containers: [{ limit: 2 }],
    devices: plugged,
    requests: [],
  },
  "plugin-apart": {
    networks: [
      { name: "bare", resourceName: resource },
      { name: "bare", resourceName: resource },
    ],
    containers: [{ limit: 1 }, { limit: 1 }],
    devices: plugged,
    requests: [],
  },
  "plugin-later": {
    networks: [{ name: "vf" }],
    containers: [{ limit: 2 }],
    devices: plugged,
    requests: [],
  },
  "claim-alternatives": {
    networks: [{ name: "bare", resourceClaim: element }],
    containers: [{ claims: ["nic"] }],
    claims: { nic: "alternatives" },
    devices: nics,
    requests: ["pods", "resourceclaims", "resourceslices"],
  },
  "claim-mixed": {
    networks: [{ name: "claimed" }],
    containers: [{ claims: ["fast"] }],
    claims: { fast: "mixed" },
    devices: nics,
    // The driver of the GPU, and the one of the network device.
    requests: ["resourceslices", "resourceslices"],
  },
  "claim-element": {
    networks: [{ name: "bare", resourceClaim: element }],
    containers: [{}, { claims: ["nic"] }],
    claims: { nic: "single" },
    devices: nics,
    requests: ["pods", "resourceclaims", "resourceslices"],
  },
  "claim-extended": {
    networks: [{ name: "claimed" }],
    containers: [{ limit: 1, of: claimed }],
    devices: nics,
    requests: ["resourceslices"],
  },
  "claim-described": {
    networks: [
      { name: "bare", resourceClaim: element },
      { name: "bare", resourceClaim: { claimName: "nic" } },
    ],
    containers: [{ claims: ["nic"] }, { claims: ["nic"] }],
    claims: { nic: "described" },
    devices: ["own-0", "own-1"],
    requests: [],
  },
  "claim-named": {
    networks: [{ name: "named" }],
    containers: [{ claims: ["mine"] }],
    claims: { mine: "=named" },
    devices: ["old-0"],
    requests: ["resourceslices"],
  },
};

export async function checkDevices(
  cluster: Cluster,
  report: Report,
): Promise<void> {
  const { kubectl, directory, auditLog } = cluster;
  report.heading("Devices");
  const versions = await kubectl.run("api-versions");
  if (!versions.includes("resource.k8s.io/v1\n")) {
    report.skip("networks with devices", "Kubernetes before 1.34");
    return;
  }
  let cases = all;
  let macs: ReadonlyMap<string, string> = new Map();
  const since = new Date();

  const registered = await report.check(
    "the kubelet registers a device plugin and four DRA drivers",
    async () => {
      macs = await makeLinks(links);
      await Promise.all([
        startDevicePlugin(kubectl, resource, plugged),
        ...drivers.map((driver) => startDriver(kubectl, driver)),
        applyManifest(cluster, ["--dra"]),
        install(cluster, cluster.genie, { NODE_NAME: nodeName }),
      ]);
      await kubectl.apply(objects());
      cases = await possible(kubectl);
      return kubectl.run("get", "resourceslices");
    },
  );

  const running =
    registered &&
    (await report.check(
      "pods with devices of every kind are Running",
      async () => {
        await kubectl.apply([
          ...Object.entries(cases).map(([name, one]) => podOf(name, one)),
          podOf("claim-foreign", {
            networks: [{ name: "bare", resourceName: "named" }],
            containers: [{}],
          }),
        ]);
        await waitReady(kubectl, ...Object.keys(cases));
        return kubectl.run("get", "pods", "-o", "wide");
      },
    ));

  if (!running) return;
  for (const [
    name,
    { devices, networks: elements, requests },
  ] of Object.entries(cases))
    await report.check(
      `${name}: ${elements.length} of ${devices.join(", ")}, and ${requests.join(", ") || "nothing"} asked`,
      async () => {
        const given = await devicesIn(cluster, name, macs);
        expectEqual("number", given.length, elements.length);
        expectEqual(
          "device",
          given.filter((one) => !devices.includes(one)),
          [],
        );
        if (name !== "plugin-apart")
          expectEqual("order", given, given.toSorted(naturalOrder));
        return given.join(", ");
      },
    );

  await report.check("the API server saw no other request for devices", () => {
    const expected = Object.values(cases).flatMap(({ requests }) => requests);
    return until("the requests", 10, () => {
      const seen = requestsForDevices(auditLog, since);
      expectEqual("requests", seen.toSorted(), expected.toSorted());
      return seen.join("\n");
    });
  });

  await report.check(
    "a claim of another pod: refused, and the event says what there is",
    () =>
      eventOf(
        kubectl,
        "claim-foreign",
        /no device of resource "named" is left for this network: the kubelet allotted no device to the pod/,
      ),
  );

  await report.check(
    "`genie explain` names devices, doctor is content",
    async () => {
      const said = await installed("explain", "plugin-two");
      expectMatch(
        "explain",
        said,
        /device vf-\d+ of genie.test\/vf \(device plugin\)/,
      );
      const found = await installed("doctor");
      expectMatch("doctor", found, /ok +may list resourceslices/);
      return said;
    },
  );

  await report.check(
    "a running pod gets its other device, and gives it back",
    async () => {
      await installed("attach", "plugin-later", "default/vf@later");
      const given = await until("its other device", 20, async () => {
        const told = await devicesIn(cluster, "plugin-later", macs);
        return new Set(told).size === 2 && told;
      });
      expectEqual("number", given.length, 2);
      expectEqual(
        "devices",
        given.filter((one) => !plugged.includes(one)),
        [],
      );
      await installed("detach", "plugin-later", "later");
      await until("it to be given back", 20, async () => {
        const left = await devicesIn(cluster, "plugin-later", macs);
        expectEqual("left", left, given.slice(0, 1));
        return true;
      });
      return given.join(", ");
    },
  );

  await report.check("deleted pods give their devices back", async () => {
    await deletePods(kubectl, "claim-foreign", ...Object.keys(cases));
    rmSync(join(binDir, "vf"));
    await expectNothing(directory);
    await until("the links to be back", 30, async () => {
      const present = await run(["ip", "-o", "link"]);
      return links
        .filter((id) => id !== "gpu-0")
        .every((id) => present.includes(` ${id}@`));
    });
  });
  await kubectl.run(
    "delete",
    "net-attach-def",
    "vf",
    "bare",
    "claimed",
    "named",
  );
  await applyManifest(cluster);
}

/** Without extended resources before the API server knows them. */
async function possible(kubectl: Kubectl): Promise<typeof all> {
  const { spec } = await kubectl.get<{
    spec: { extendedResourceName?: string };
  }>("deviceclass", drivers[0].name);
  if (spec.extendedResourceName !== undefined) return all;
  const { "claim-extended": _, ...others } = all;
  return others;
}

/** Definitions, templates and a claim. */
function objects(): object[] {
  const definition = (name: string, of?: string) => ({
    apiVersion: "k8s.cni.cncf.io/v1",
    kind: "NetworkAttachmentDefinition",
    metadata: {
      name,
      namespace: "default",
      annotations:
        of === undefined ? {} : { "k8s.v1.cni.cncf.io/resourceName": of },
    },
    spec: { config: JSON.stringify({ cniVersion: "1.0.0", type: "vf" }) },
  });
  const claim = (
    requests: Record<string, [driver: string, count?: number]>,
  ) => ({
    devices: {
      requests: Object.entries(requests).map(([name, [driver, count = 1]]) => ({
        name,
        exactly: { deviceClassName: `${driver}.genie.test`, count },
      })),
    },
  });
  const apiVersion = "resource.k8s.io/v1";
  const alternatives = {
    devices: {
      requests: [
        {
          name: "vf",
          firstAvailable: ["gone", "nic"].map((name) => ({
            name,
            deviceClassName: drivers[0].name,
            ...(name === "gone" && { count: nics.length + 1 }),
          })),
        },
      ],
    },
  };
  const template = (name: string, spec: object) => ({
    apiVersion,
    kind: "ResourceClaimTemplate",
    metadata: { name, namespace: "default" },
    spec: { spec },
  });
  return [
    definition("vf", resource),
    definition("bare"),
    definition("claimed", claimed),
    definition("named", "named"),
    template("mixed", claim({ gpu: ["gpu"], vf: ["nic"] })),
    template("single", claim({ vf: ["nic"] })),
    template("alternatives", alternatives),
    template("described", claim({ vf: ["described"], other: ["described"] })),
    {
      apiVersion,
      kind: "ResourceClaim",
      metadata: { name: "named", namespace: "default" },
      spec: claim({ vf: ["old"] }),
    },
  ];
}

function podOf(
  name: string,
  {
    networks: elements,
    containers,
    claims = {},
  }: Pick<Case, "networks" | "containers" | "claims">,
): object {
  const [container] = podSpec.containers;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace: "default",
      labels: { suite: "cluster" },
      annotations: { [networks]: JSON.stringify(elements) },
    },
    spec: {
      ...podSpec,
      resourceClaims: Object.entries(claims).map(([inPod, from]) => ({
        name: inPod,
        ...(from.startsWith("=")
          ? { resourceClaimName: from.slice(1) }
          : { resourceClaimTemplateName: from }),
      })),
      containers: containers.map(
        ({ limit, of = resource, claims: used = [] }, i) => ({
          ...container,
          name: `c${i}`,
          resources: {
            ...(limit !== undefined && { limits: { [of]: limit } }),
            claims: used.map((inPod) => ({ name: inPod })),
          },
        }),
      ),
    },
  };
}

/** The devices of a pod's networks in their order, by the MAC addresses in its status. */
async function devicesIn(
  { kubectl }: Cluster,
  name: string,
  macs: ReadonlyMap<string, string>,
): Promise<string[]> {
  const status = await statusOf(kubectl, name);
  const entries = JSON.parse(status) as { interface: string; mac?: string }[];
  return entries
    .filter(({ interface: ifname }) => ifname !== "eth0")
    .map(({ mac }) => [...macs].find(([, own]) => own === mac)?.[0] ?? "none");
}

/** genie's GETs of pods and claims and its LISTs; the annotations came from the runtime. */
function requestsForDevices(auditLog: string, since: Date): string[] {
  return auditOf(auditLog, since)
    .filter(({ verb }) => ["get", "list"].includes(verb))
    .flatMap(({ objectRef }) => objectRef?.resource ?? [])
    .filter((one) => one !== "network-attachment-definitions");
}
