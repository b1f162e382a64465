/**
 * A node with an API server that has pods and network attachment definitions, for the
 * tests of NPWG annotations.
 */
import {
  type ApiServer,
  type LoggedRequest,
  startApiServer,
} from "./api-server.ts";
import type { CallOptions, Node, Pod } from "./node.ts";
import { startNode } from "./scripted-node.ts";

export const networksKey = "k8s.v1.cni.cncf.io/networks";
export const defaultKey = "v1.multus-cni.io/default-network";
export const statusKey = "k8s.v1.cni.cncf.io/network-status";

/** With an address of its own, the bridge keeps it when a second pod comes: CHECK compares. */
const plumbing = `ip -batch - <<END
link add lan0 address 02:00:00:00:30:01 type bridge
link add up0 type veth peer name up1
link set up0 up
link set up1 up
END`;

export class Cluster implements AsyncDisposable {
  readonly node: Node;
  readonly api: ApiServer;

  private constructor(node: Node, api: ApiServer) {
    this.node = node;
    this.api = api;
  }

  /** The networks canal, the default, and weave; a bridge `lan0` and an uplink `up0` for definitions. */
  static async start(): Promise<Cluster> {
    const node = await startNode();
    const cluster = new Cluster(node, await startApiServer());
    await node.netns.run("sh", "-ec", plumbing);
    return cluster;
  }

  /** Puts a definition into the namespace of the pods, or into the one before a `/`; an object is written as JSON. */
  define(
    path: string,
    config: object | string,
    annotations: Record<string, string> = {},
  ): void {
    const [name = "", namespace = "shop"] = path.split("/").toReversed();
    const text = typeof config === "string" ? config : JSON.stringify(config);
    this.api.definitions.put({
      metadata: { name, namespace, annotations },
      spec: { config: text },
    });
  }

  /** A new pod that the API server knows. A value that is no text is written as JSON. */
  async pod(
    annotations: Record<string, unknown>,
    extra: { uid?: string } = {},
  ): Promise<Pod> {
    const pod = await this.node.pod();
    const { namespace, name, uid } = { ...pod, ...extra };
    const texts = Object.entries(annotations).map(
      ([key, value]): [string, string] => [
        key,
        typeof value === "string" ? value : JSON.stringify(value),
      ],
    );
    this.api.pods.put({
      metadata: {
        namespace,
        name,
        uid,
        annotations: Object.fromEntries(texts),
      },
    });
    return pod;
  }

  /** A pod with these networks, attached. */
  async attach(networks: unknown, options?: CallOptions): Promise<Pod> {
    const pod = await this.pod({ [networksKey]: networks });
    await this.add(pod, options);
    return pod;
  }

  add(pod: Pod, options?: CallOptions): Promise<unknown> {
    return this.node.succeed("ADD", pod, this.options(options));
  }

  check(pod: Pod, options?: CallOptions): Promise<unknown> {
    return this.node.succeed("CHECK", pod, this.options(options));
  }

  del(pod: Pod, options?: CallOptions): Promise<unknown> {
    return this.node.succeed("DEL", pod, this.options(options));
  }

  /** The error of an ADD that must fail, without the version. */
  async refuse(
    pod: Pod,
    options?: CallOptions,
  ): Promise<{ code: number; msg: string; details?: string }> {
    const { cniVersion: _, ...failure } = await this.node.fail(
      "ADD",
      pod,
      this.options(options),
    );
    return failure;
  }

  /** With the kubeconfig of this API server. */
  options(options: CallOptions = {}): CallOptions {
    const kubernetes = { kubeconfig: this.api.kubeconfig() };
    return { ...options, config: { kubernetes, ...options.config } };
  }

  /** The requests of the API server, in order: `GET shop/pods/web`. */
  requests(): string[] {
    return this.api.requests.map(
      ({ method, path }) =>
        `${method} ${path.replace(/^.*\/namespaces\//, "")}`,
    );
  }

  /** Both annotations that genie writes, decoded. */
  written(): { preferences?: unknown; status?: unknown } {
    const annotations =
      this.api.pods.get("shop", "web")?.metadata.annotations ?? {};
    const { "multi-ip-preferences": preferences, [statusKey]: status } =
      annotations;
    return {
      ...(preferences !== undefined && {
        preferences: JSON.parse(preferences) as unknown,
      }),
      ...(status !== undefined && { status: JSON.parse(status) as unknown }),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.api.stop();
    await this.node[Symbol.asyncDispose]();
  }
}

/** Selects the GETs of definitions for a fault. */
export function isDefinition({ path }: LoggedRequest): boolean {
  return path.includes("/network-attachment-definitions/");
}

/** A bridge of the node whose addresses are the pod's choice: the static plugin. */
export function staticLan(bridge = "lan0"): object {
  return {
    cniVersion: "1.0.0",
    name: "static-lan",
    type: "bridge",
    bridge,
    capabilities: { ips: true, mac: true },
    ipam: { type: "static" },
  };
}

/** A bridge of the node with addresses of host-local, no default route. */
export function lan(node: Node, extra: object = {}): object {
  return {
    cniVersion: "1.0.0",
    name: "lan",
    type: "bridge",
    bridge: "lan0",
    ipam: node.ipam("10.30.0.0/24"),
    ...extra,
  };
}

/** Interface name → addresses. */
export async function addresses(pod: Pod): Promise<Record<string, string[]>> {
  const links = await pod.netns.links();
  return Object.fromEntries(links.map((link) => [link.name, link.addresses]));
}
