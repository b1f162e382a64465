/**
 * The cluster of one node, started part by part, and what the checks ask of it.
 */
import { mkdirSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { joinGroups, podGroups } from "./cgroup.ts";
import { type Containerd, containerd } from "./containerd.ts";
import { type ControlPlane, startControlPlane } from "./control-plane.ts";
import type { Daemon } from "./daemon.ts";
import { busybox, pause } from "./image.ts";
import { kubelet, nodeName } from "./kubelet.ts";
import { installNetworks } from "./networks.ts";
import type { Parts } from "./parts.ts";
import { firstNode, nodeAddress } from "./place.ts";
import { groupName } from "./private.ts";
import { run } from "../../scripts/run.ts";
import { expectEqual } from "./expect.ts";
import { until } from "./until.ts";

export interface Cluster extends ControlPlane {
  parts: Parts;
  directory: string;
  runtime: Containerd;
  kubelet: Daemon;
  /** The executable under test, as built. */
  genie: string;
}

/** Everything runs; the node is ready with flannel as its only network. */
export async function startCluster(
  parts: Parts,
  directory: string,
  genie: string,
): Promise<Cluster> {
  joinGroups(groupName(directory));
  await prepareNetwork();
  installNetworks(parts, firstNode(directory));
  const runtime = containerd(parts, directory);
  await runtime.daemon.start();
  await runtime.load(pause);
  await runtime.load(await busybox());
  const plane = await startControlPlane(parts, directory);
  const node = await kubelet(parts, directory, plane);
  await node.start();
  await plane.kubectl.run(
    "wait",
    "--for=condition=Ready",
    `node/${nodeName}`,
    "--timeout=60s",
  );
  return { ...plane, parts, directory, runtime, kubelet: node, genie };
}

/** An address of the node that is not loopback: kubelet and API server insist on one. */
async function prepareNetwork(): Promise<void> {
  mkdirSync("/run/netns", { recursive: true });
  await run(["ip", "link", "add", "node0", "type", "bridge"]);
  await run(["ip", "address", "add", `${nodeAddress}/24`, "dev", "node0"]);
  await run(["ip", "link", "set", "node0", "up"]);
  await run(["ip", "route", "add", "default", "via", "192.168.77.1"]);
}

export interface Leftovers {
  records: string[];
  namespaces: string[];
  veths: string[];
  leases: string[];
  flannel: string[];
  groups: string[];
}

/** The traces of pods on a node; empty lists when nothing is left. */
export async function leftovers(directory: string): Promise<Leftovers> {
  const links = JSON.parse(await run(["ip", "-json", "link"])) as {
    ifname: string;
  }[];
  return {
    records: names("/var/lib/cni/genie/attachments"),
    namespaces: names("/run/netns"),
    veths: links
      .map(({ ifname }) => ifname)
      .filter((name) => name.startsWith("veth")),
    leases: names("/var/lib/cni/networks").flatMap((network) =>
      names(join("/var/lib/cni/networks", network)).filter((name) =>
        /^\d/.test(name),
      ),
    ),
    flannel: names("/var/lib/cni/flannel"),
    groups: podGroups(groupName(directory)),
  };
}

export const nothing: Leftovers = {
  records: [],
  namespaces: [],
  veths: [],
  leases: [],
  flannel: [],
  groups: [],
};

/** A request that genie made, as the API server saw it. */
export interface Request {
  verb: string;
  resource: string;
  name: string;
  user: string;
  code: number;
}

/** genie's requests for one object since a moment, from the audit log. */
export function requestsOf(
  auditLog: string,
  name: string,
  since = new Date(0),
): Request[] {
  return auditOf(auditLog, since)
    .filter(({ objectRef }) => objectRef?.name === name)
    .map(({ verb, objectRef, user, responseStatus }) => ({
      verb,
      resource: [objectRef?.resource, objectRef?.subresource]
        .filter(Boolean)
        .join("/"),
      name,
      user: user.username,
      code: responseStatus.code,
    }));
}

/** Waits for them: the API server may log a request after its answer. */
export async function expectRequests(
  expected: readonly string[],
  ...of: Parameters<typeof requestsOf>
): Promise<void> {
  await until(`the requests for ${of[1]}`, 10, () => {
    const seen = requestsOf(...of);
    const texts = seen.map(
      ({ verb, resource, user, code }) => `${verb} ${resource} ${user} ${code}`,
    );
    expectEqual("requests", texts, expected);
    return true;
  });
}

/** All of genie's requests since a moment. The last line may be incomplete. */
export function auditOf(auditLog: string, since: Date): AuditEvent[] {
  return readFileSync(auditLog, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as AuditEvent)
    .filter(
      ({ userAgent, requestReceivedTimestamp }) =>
        userAgent === "genie" && new Date(requestReceivedTimestamp) >= since,
    );
}

interface AuditEvent {
  requestReceivedTimestamp: string;
  verb: string;
  userAgent?: string;
  user: { username: string };
  objectRef?: { resource: string; subresource?: string; name?: string };
  responseStatus: { code: number };
}

function names(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
