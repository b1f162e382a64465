/**
 * Nodes with networks: the real ones canal (a bridge, the default) and weave (point to
 * point), or three whose plugins the test scripts.
 */
import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ApiServer } from "./api-server.ts";
import { DelegateDouble, type RecordedCall } from "./delegate.ts";
import { Netns } from "./netns.ts";
import { type CallOptions, Node, type Pod } from "./node.ts";

/** A node with both networks. */
export async function startNode(): Promise<Node> {
  const node = await Node.start();
  node.network("10-canal.conflist", {
    cniVersion: "1.0.0",
    name: "canal-net",
    plugins: [
      {
        type: "bridge",
        bridge: "br0",
        isGateway: true,
        ipam: node.ipam("10.66.0.0/24", { routes: [{ dst: "0.0.0.0/0" }] }),
        dns: { nameservers: ["10.96.0.10"], search: ["shop.svc"] },
      },
      { type: "portmap", capabilities: { portMappings: true } },
    ],
  });
  node.network("20-weave.conf", {
    cniVersion: "0.4.0",
    name: "weave-net",
    type: "ptp",
    ipMasq: true,
    ipam: node.ipam("10.67.0.0/24", {
      routes: [{ dst: "10.68.0.0/16", gw: "10.67.0.1" }],
    }),
    dns: { nameservers: ["10.96.0.10", "10.96.0.11"], domain: "weave.local" },
  });
  return node;
}

/** Interface name → network. */
export interface Attached {
  [ifname: string]: string;
}

/** The interfaces of a pod by the network that their address is of. */
export async function attached(pod: Pod): Promise<Attached> {
  const links = await pod.netns.links();
  return Object.fromEntries(
    links.map(({ name, addresses: [address = ""] }) => [
      name,
      networkOf(address),
    ]),
  );
}

function networkOf(address: string): string {
  return address.startsWith("10.66.0.")
    ? "canal"
    : address.startsWith("10.67.0.")
      ? "weave"
      : address;
}

const scripted = ["alpha", "beta", "gamma"];

/**
 * A node with the networks `alpha`, which is the default, `beta` and `gamma`, each of
 * one plugin of that type. Their plugins succeed; ADD has 10.1.0.2, 10.2.0.2
 * and 10.3.0.2.
 */
export class ScriptedNode extends Node {
  readonly delegates = new DelegateDouble(...scripted);

  constructor(netns: Netns, cniVersion: string) {
    super(netns);
    this.path.unshift(this.delegates.bin);
    for (const [i, type] of scripted.entries()) {
      this.network(`${i + 1}0-${type}.conf`, {
        cniVersion,
        name: `${type}-net`,
        type,
      });
      this.delegates.behave(`ADD ${type}`, {
        stdout: scriptedResult(i, cniVersion),
      });
    }
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    this.delegates[Symbol.dispose]();
    await super[Symbol.asyncDispose]();
  }
}

export async function startScriptedNode(
  cniVersion = "1.0.0",
): Promise<ScriptedNode> {
  return new ScriptedNode(await Netns.create(), cniVersion);
}

/** A pod with two networks: alpha on eth0, beta on eth1. */
export const two = { annotations: { cni: "alpha,beta" } };

/** The ADD result of a network; alpha is 0. */
export function scriptedResult(i: number, cniVersion = "1.0.0") {
  return {
    cniVersion,
    ips: [{ address: `10.${i + 1}.0.2/24`, gateway: `10.${i + 1}.0.1` }],
  };
}

/** The configuration with which genie asks the server. */
export function asking(api: ApiServer): CallOptions {
  return { config: { kubernetes: { kubeconfig: api.kubeconfig() } } };
}

/** The server has the pod, perhaps with annotations. */
export function store(
  api: ApiServer,
  { namespace, name, uid }: Pod,
  annotations?: Record<string, string>,
): void {
  api.pods.put({
    metadata: { namespace, name, uid, ...(annotations && { annotations }) },
  });
}

/** A kubeconfig for the server that outlives it. */
export function keptKubeconfig(node: Node, api: ApiServer): string {
  const path = join(node.directory, "kubeconfig");
  copyFileSync(api.kubeconfig(), path);
  return path;
}

/** The decoded stdin of a delegate. */
export function stdinOf(call: RecordedCall | undefined): unknown {
  return JSON.parse(call?.stdin ?? "");
}

/** Whether a process waits for a lock: it slept more often than in all its other work. */
export function waits(pid: number): boolean {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const [, count] = /^voluntary_ctxt_switches:\s*(\d+)/m.exec(status) ?? [];
  return Number(count) > 50;
}
