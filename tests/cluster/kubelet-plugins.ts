/**
 * A device plugin and DRA drivers for the kubelet, small and real: registration and
 * gRPC over unix sockets, ResourceSlices published, claims prepared. Their devices are
 * links of the node, each named as its ID; the plugin `vf` moves one into a pod.
 */
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../../scripts/run.ts";
import { callGrpc, grpcService, serveGrpc } from "../support/grpc.ts";
import { nodeName } from "./kubelet.ts";
import type { Kubectl } from "./kubectl.ts";
import { binDir } from "./networks.ts";
import { until } from "./until.ts";

const directory = "/var/lib/kubelet";

/** k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1 */
const registration = grpcService({
  package: "v1beta1",
  service: "Registration",
  messages: {
    RegisterRequest: [
      "version string 1",
      "endpoint string 2",
      "resource_name string 3",
    ],
    Empty: [],
  },
  methods: { Register: ["RegisterRequest", "Empty"] },
});

const devicePlugin = grpcService({
  package: "v1beta1",
  service: "DevicePlugin",
  messages: {
    Empty: [],
    DevicePluginOptions: [],
    Device: ["ID string 1", "health string 2"],
    ListAndWatchResponse: ["devices[] Device 1"],
    ContainerRequest: ["devices_ids[] string 1"],
    AllocateRequest: ["container_requests[] ContainerRequest 1"],
    ContainerResponse: [],
    AllocateResponse: ["container_responses[] ContainerResponse 1"],
  },
  methods: {
    GetDevicePluginOptions: ["Empty", "DevicePluginOptions"],
    ListAndWatch: ["Empty", "stream ListAndWatchResponse"],
    Allocate: ["AllocateRequest", "AllocateResponse"],
  },
});

/** Until the process ends. */
export async function startDevicePlugin(
  kubectl: Kubectl,
  resource: string,
  ids: readonly string[],
): Promise<void> {
  const endpoint = "genie-test.sock";
  const plugins = join(directory, "device-plugins");
  await serveGrpc(join(plugins, endpoint), devicePlugin, {
    getDevicePluginOptions: () => ({}),
    async *listAndWatch() {
      yield { devices: ids.map((ID) => ({ ID, health: "Healthy" })) };
      await new Promise(() => {});
    },
    allocate: ({ containerRequests }: { containerRequests: object[] }) => ({
      containerResponses: containerRequests.map(() => ({})),
    }),
  });
  await callGrpc(join(plugins, "kubelet.sock"), registration, "register", {
    version: "v1beta1",
    endpoint,
    resourceName: resource,
  });
  await until(`the node to have ${resource}`, 30, async () => {
    const { status } = await kubectl.get<{
      status: { allocatable: Record<string, string> };
    }>("node", nodeName);
    return status.allocatable[resource] === `${ids.length}`;
  });
}

/** k8s.io/kubelet/pkg/apis/pluginregistration/v1 */
const pluginRegistration = grpcService({
  package: "pluginregistration",
  service: "Registration",
  messages: {
    InfoRequest: [],
    PluginInfo: [
      "type string 1",
      "name string 2",
      "endpoint string 3",
      "supported_versions[] string 4",
    ],
    RegistrationStatus: ["plugin_registered bool 1", "error string 2"],
    RegistrationStatusResponse: [],
  },
  methods: {
    GetInfo: ["InfoRequest", "PluginInfo"],
    NotifyRegistrationStatus: [
      "RegistrationStatus",
      "RegistrationStatusResponse",
    ],
  },
});

/** k8s.io/kubelet/pkg/apis/dra/v1; a map is a list of its entries on the wire. */
const draPlugin = grpcService({
  package: "k8s.io.kubelet.pkg.apis.dra.v1",
  service: "DRAPlugin",
  messages: {
    Claim: ["namespace string 1", "uid string 2", "name string 3"],
    ClaimsRequest: ["claims[] Claim 1"],
    Device: [
      "request_names[] string 1",
      "pool_name string 2",
      "device_name string 3",
      "cdi_device_ids[] string 4",
    ],
    PreparedClaim: ["devices[] Device 1", "error string 2"],
    PreparedEntry: ["key string 1", "value PreparedClaim 2"],
    PrepareResponse: ["claims[] PreparedEntry 1"],
    UnpreparedClaim: ["error string 1"],
    UnpreparedEntry: ["key string 1", "value UnpreparedClaim 2"],
    UnprepareResponse: ["claims[] UnpreparedEntry 1"],
  },
  methods: {
    NodePrepareResources: ["ClaimsRequest", "PrepareResponse"],
    NodeUnprepareResources: ["ClaimsRequest", "UnprepareResponse"],
  },
});

interface Claim {
  namespace: string;
  uid: string;
  name: string;
}

export interface Driver {
  name: string;
  /** Device → attributes of its ResourceSlice. */
  devices: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** A resource that a pod may request in place of a claim (Kubernetes 1.37). */
  extended?: string;
  /** Whether the driver writes metadata files (KEP-5304). */
  describes?: true;
}

/** Registers the driver, publishes its devices and a DeviceClass of its name. Until the process ends. */
export async function startDriver(
  kubectl: Kubectl,
  driver: Driver,
): Promise<void> {
  const { name, devices } = driver;
  const plugin = join(directory, "plugins", name);
  mkdirSync(plugin, { recursive: true });
  const endpoint = join(plugin, "dra.sock");
  await serveGrpc(endpoint, draPlugin, {
    nodePrepareResources: async ({ claims }: { claims: Claim[] }) => ({
      claims: await Promise.all(
        claims.map(async (claim) => ({
          key: claim.uid,
          value: await prepare(kubectl, driver, claim),
        })),
      ),
    }),
    nodeUnprepareResources: ({ claims }: { claims: Claim[] }) => ({
      claims: claims.map((claim) => {
        rmSync(metadataDirectory(name, claim), {
          recursive: true,
          force: true,
        });
        return { key: claim.uid, value: {} };
      }),
    }),
  });
  const registered = Promise.withResolvers<void>();
  const socket = join(directory, "plugins_registry", `${name}-reg.sock`);
  await serveGrpc(socket, pluginRegistration, {
    getInfo: () => ({
      type: "DRAPlugin",
      name,
      endpoint,
      supportedVersions: ["v1.DRAPlugin"],
    }),
    notifyRegistrationStatus: ({
      pluginRegistered,
      error,
    }: {
      pluginRegistered: boolean;
      error: string;
    }) => {
      if (pluginRegistered) registered.resolve();
      else registered.reject(new Error(`${name}: ${error}`));
      return {};
    },
  });
  await registered.promise;
  await kubectl.apply([
    {
      apiVersion: "resource.k8s.io/v1",
      kind: "DeviceClass",
      metadata: { name },
      spec: {
        selectors: [{ cel: { expression: `device.driver == "${name}"` } }],
        extendedResourceName: driver.extended,
      },
    },
    {
      apiVersion: "resource.k8s.io/v1",
      kind: "ResourceSlice",
      metadata: { name: `${nodeName}-${name}` },
      spec: {
        nodeName,
        driver: name,
        pool: { name: nodeName, generation: 1, resourceSliceCount: 1 },
        devices: Object.entries(devices).map(([device, attributes]) => ({
          name: device,
          attributes: attributesOf(attributes),
        })),
      },
    },
  ]);
}

interface Results {
  metadata: { annotations?: Record<string, string> };
  status: {
    allocation: {
      devices: {
        results: {
          request: string;
          driver: string;
          pool: string;
          device: string;
        }[];
      };
    };
  };
}

/** Whoever prepares a claim reads its allocation. */
async function prepare(
  kubectl: Kubectl,
  driver: Driver,
  claim: Claim,
): Promise<object> {
  const { metadata, status } = await kubectl.get<Results>(
    "resourceclaim",
    claim.name,
    "-n",
    claim.namespace,
  );
  const results = status.allocation.devices.results.filter(
    (result) => result.driver === driver.name,
  );
  if (driver.describes) {
    const podClaimName =
      metadata.annotations?.["resource.kubernetes.io/pod-claim-name"];
    for (const { request, pool, device } of results) {
      const to = join(metadataDirectory(driver.name, claim), request);
      mkdirSync(to, { recursive: true });
      const described = {
        kind: "DeviceMetadata",
        apiVersion: "metadata.resource.k8s.io/v1beta1",
        metadata: { ...claim, generation: 1 },
        podClaimName,
        requests: [
          {
            name: request,
            devices: [
              {
                driver: driver.name,
                pool,
                name: device,
                attributes: attributesOf(driver.devices[device] ?? {}),
              },
            ],
          },
        ],
      };
      writeFileSync(
        join(to, "metadata.json"),
        `${JSON.stringify(described, null, 2)}\n`,
      );
    }
  }
  return {
    devices: results.map(({ request, pool, device }) => ({
      requestNames: [request],
      poolName: pool,
      deviceName: device,
      cdiDeviceIds: [`${driver.name}/nic=${device}`],
    })),
  };
}

function metadataDirectory(driver: string, { namespace, name }: Claim): string {
  return `${directory}/plugins/${driver}/dra-device-metadata/${namespace}_${name}`;
}

function attributesOf(values: Readonly<Record<string, string>>): object {
  return Object.fromEntries(
    Object.entries(values).map(([name, string]) => [name, { string }]),
  );
}

/** Device → MAC address, by which a pod's interface is recognised. */
export async function makeLinks(
  ids: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const macs = new Map(
    ids.map((id, i) => [id, `02:00:00:00:77:${(i + 16).toString(16)}`]),
  );
  for (const [id, mac] of macs) {
    const add = `ip link add ${id} address ${mac} type veth peer name ${id}-peer`;
    await run(add.split(" "));
  }
  const path = join(binDir, "vf");
  writeFileSync(path, vf);
  chmodSync(path, 0o755);
  return macs;
}

/** Moves the link of its device into the pod and back, as the plugin of SR-IOV does. */
const vf = `#!/bin/sh
set -e
config=$(cat)
device=$(printf '%s' "$config" | sed -n 's/.*"pciBusID":"\\([^"]*\\)".*/\\1/p')
ns=\${CNI_NETNS##*/}
case $CNI_COMMAND in
ADD)
  ip link set "$device" netns "$ns"
  ip -n "$ns" link set "$device" name "$CNI_IFNAME"
  mac=$(ip -n "$ns" -o link show dev "$CNI_IFNAME" | sed 's/.*ether \\([0-9a-f:]*\\).*/\\1/')
  echo "{\\"cniVersion\\":\\"1.0.0\\",\\"interfaces\\":[{\\"name\\":\\"$CNI_IFNAME\\",\\"mac\\":\\"$mac\\",\\"sandbox\\":\\"$CNI_NETNS\\"}]}"
  ;;
DEL)
  if [ -n "$ns" ] && ip -n "$ns" link show dev "$CNI_IFNAME" >/dev/null 2>&1; then
    ip -n "$ns" link set "$CNI_IFNAME" netns 1 name "$device"
  fi
  ;;
VERSION) echo '{"cniVersion":"1.0.0","supportedVersions":["1.0.0"]}' ;;
esac
`;
