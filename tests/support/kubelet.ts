/**
 * A kubelet's PodResources API for tests: a real gRPC server on a unix socket of
 * its own, pods in memory, faults on demand. It knows nothing of genie but the
 * messages' schema, which tests/kubelet/podresources-schema.test.ts holds against Kubernetes'.
 */
import { mkdtempSync, rmSync } from "node:fs";
import {
  createServer,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type PodResources,
  PodResourcesLister,
} from "../../lib/kubelet/podresources-schema.ts";

export interface Kubelet extends AsyncDisposable {
  /** Path of the socket. */
  socket: string;
  /** Changes take effect at once. */
  pods: KubeletPod[];
  /** Resources of device plugins. */
  resources: string[];
  /** `Get shop/web` and `List`, in the order of arrival. */
  calls: string[];
  /** From now on, until it is used up; faults of one method in the order in which they were injected. */
  inject(fault: KubeletFault): void;
  stop(): Promise<void>;
}

export interface KubeletPod {
  namespace: string;
  name: string;
  /** For each container what the kubelet lists: resource name and device IDs, a resource as often as it likes. */
  containers: (readonly [resource: string, ...devices: string[]])[][];
  /** For each container the devices of its claims. */
  claims?: KubeletClaim[][];
}

export interface KubeletClaim {
  name: string;
  devices: {
    driver: string;
    pool?: string;
    device: string;
    cdi?: string[];
    share?: string;
  }[];
}

export type KubeletFault = {
  method: "Get" | "List";
  /** How many calls it hits. Default: 1. */
  times?: number;
} & (
  | { kind: "status"; code: Code; message: string }
  /** Never responds. */
  | { kind: "hang" }
  /** These bytes instead of an encoded message. */
  | { kind: "bytes"; bytes: Uint8Array }
  /** Closes the connection in the middle of the response. */
  | { kind: "drop" }
);

/** Starts a kubelet that knows `pods`. */
export async function startKubelet(pods: KubeletPod[] = []): Promise<Kubelet> {
  const directory = mkdtempSync(join(tmpdir(), "kubelet-"));
  const socket = join(directory, "kubelet.sock");
  const calls: string[] = [];
  const resources: string[] = [];
  const faults: { fault: KubeletFault; left: number }[] = [];
  const sessions = new Set<ServerHttp2Session>();

  const serve = connectNodeAdapter({
    routes: (router) =>
      router.service(PodResourcesLister, {
        get({ podNamespace: namespace, podName: name }) {
          calls.push(`Get ${namespace}/${name}`);
          failIfToldTo("Get");
          const pod = pods.find(
            (one) => one.namespace === namespace && one.name === name,
          );
          if (!pod) throw notFound(namespace, name);
          return { podResources: encoded(pod) };
        },
        getAllocatableResources: () => ({
          devices: resources.map((resourceName) => ({ resourceName })),
        }),
        list() {
          calls.push("List");
          failIfToldTo("List");
          return { podResources: pods.map(encoded) };
        },
      }),
  });
  const server = createServer((request, response) => {
    const method = request.url.endsWith("/Get") ? "Get" : "List";
    const fault = take(method, (kind) => kind !== "status");
    if (!fault) {
      serve(request, response);
      return;
    }
    calls.push(`${method} ${fault.kind}`);
    misbehave(fault, response);
  });
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(socket, resolve);
  });

  return {
    socket,
    pods,
    resources,
    calls,
    inject,
    stop,
    [Symbol.asyncDispose]: stop,
  };

  function inject(fault: KubeletFault): void {
    faults.push({ fault, left: fault.times ?? 1 });
  }

  /** The first fault for the method, if it is of the wanted kind. */
  function take(
    method: KubeletFault["method"],
    wanted: (kind: KubeletFault["kind"]) => boolean,
  ): KubeletFault | undefined {
    const found = faults.find(
      ({ fault, left }) => left > 0 && fault.method === method,
    );
    if (!found || !wanted(found.fault.kind)) return undefined;
    found.left--;
    return found.fault;
  }

  function failIfToldTo(method: KubeletFault["method"]): void {
    const fault = take(method, (kind) => kind === "status");
    if (fault?.kind === "status")
      throw new ConnectError(fault.message, fault.code);
  }

  async function stop(): Promise<void> {
    for (const session of sessions) session.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The response to `Get` when the kubelet's feature gate is off. */
export const getDisabled: KubeletFault = {
  method: "Get",
  kind: "status",
  code: Code.Unknown,
  message: "PodResources API Get method disabled",
};

/** The response at the limit of calls. */
export const rateLimit = {
  kind: "status",
  code: Code.ResourceExhausted,
  message: "rejected by rate limit",
} as const;

/** Other pods, which fill about `mib` MiB of a response. */
export function otherPods(mib: number): KubeletPod[] {
  const id = "x".repeat(1000);
  return Array.from({ length: mib * 16 }, (_, index) => ({
    namespace: "other",
    name: `pod-${index}`,
    containers: [[["example.com/gpu", ...Array<string>(65).fill(id)]]],
  }));
}

/** Something else on a unix socket: says `text` to whoever connects, and nothing more. */
export function startStranger(
  text: Uint8Array | string,
): { socket: string } & AsyncDisposable {
  const directory = mkdtempSync(join(tmpdir(), "stranger-"));
  const socket = join(directory, "kubelet.sock");
  const listener = Bun.listen({
    unix: socket,
    socket: {
      open: (client) => void client.write(text),
      data() {},
    },
  });
  return {
    socket,
    async [Symbol.asyncDispose]() {
      listener.stop(true);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Go's kubelet returns a plain error, which gRPC makes an Unknown. */
function notFound(namespace: string, name: string): ConnectError {
  return new ConnectError(
    `pod ${name} in namespace ${namespace} not found`,
    Code.Unknown,
  );
}

function encoded({ containers, claims = [], ...pod }: KubeletPod) {
  const indexes = Array(Math.max(containers.length, claims.length)).keys();
  return {
    ...pod,
    containers: Array.from(indexes, (i) => ({
      devices: (containers[i] ?? []).map(([resourceName, ...deviceIds]) => ({
        resourceName,
        deviceIds,
      })),
      dynamicResources: (claims[i] ?? []).map((claim) =>
        encodedClaim(pod.namespace, claim),
      ),
    })),
  };
}

/** Each entry has the CDI names of all devices before it, as the real one has them. */
function encodedClaim(claimNamespace: string, { name, devices }: KubeletClaim) {
  return {
    claimName: name,
    claimNamespace,
    claimResources: devices.map(
      ({ driver, pool = "node1", device, share }, i) => ({
        driverName: driver,
        poolName: pool,
        deviceName: device,
        ...(share !== undefined && { shareId: share }),
        cdiDevices: devices
          .slice(0, i + 1)
          .filter((one) => one.driver === driver)
          .flatMap(({ cdi = [] }) => cdi.map((cdiName) => ({ name: cdiName }))),
      }),
    ),
  };
}

/** As `podContainers` decodes them. */
export function containersOf(
  pod: Pick<KubeletPod, "containers" | "claims">,
): PodResources["containers"] {
  const { output } = PodResourcesLister.method.get;
  const podResources = encoded({ namespace: "shop", name: "web", ...pod });
  const bytes = toBinary(output, create(output, { podResources }));
  return fromBinary(output, bytes).podResources?.containers ?? [];
}

function misbehave(fault: KubeletFault, response: Http2ServerResponse): void {
  if (fault.kind === "hang") return;
  response.writeHead(200, { "content-type": "application/grpc+proto" });
  if (fault.kind === "drop") {
    // The first bytes of a message of 100.
    const { session } = response.stream;
    response.write(frame(new Uint8Array(1), 100), () => session?.destroy());
  } else if (fault.kind === "bytes") {
    response.addTrailers({ "grpc-status": "0" });
    response.end(frame(fault.bytes));
  }
}

/** gRPC's length-prefixed message, not compressed. */
function frame(bytes: Uint8Array, length = bytes.length): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, bytes]);
}
