/**
 * The parts of `genie agent`: one row for each switch. `genie agent` takes its options
 * and help from here, `genie manifest` the rights, so a part has the rights that it needs
 * and no pod of the DaemonSet has more.
 */
import { isAbsolute } from "node:path";
import type { V1PolicyRule } from "@kubernetes/client-node";
import type { Part } from "./part.ts";

interface PartEntry {
  /** Name of the value of its switch; DIR is a directory of the node. */
  value?: string;
  /** Throws for a wrong value, before any part starts. */
  check?(value: string): void;
  /** For `--help`: what it does. */
  about: string;
  /** For `--help`: what it needs beyond the plugin's own rights. */
  needs: string;
  /** On without its switch; `--no-<name>` turns it off. */
  byDefault?: true;
  /** It executes the host's genie: hostPID and a privileged container. */
  isPrivileged?: true;
  /** A node's own credential may not do it. */
  needsAccount?: true;
  /** Rights of the service account, beyond those of the plugin. */
  rights: readonly V1PolicyRule[];
  /** `value` is the switch's, which {@link check} has passed; "" without one. */
  load(value: string): Promise<Part>;
}

const definitionsWatch: V1PolicyRule = {
  apiGroups: ["k8s.cni.cncf.io"],
  resources: ["network-attachment-definitions"],
  verbs: ["list", "watch"],
};

const podsWatch: V1PolicyRule = {
  apiGroups: [""],
  resources: ["pods"],
  verbs: ["list", "watch"],
};

const nodeRights: V1PolicyRule = {
  apiGroups: [""],
  resources: ["nodes"],
  verbs: ["get", "patch"],
};

export const parts: ReadonlyMap<string, PartEntry> = new Map(
  Object.entries({
    cache: {
      about: "keep the cluster's network attachment definitions on the node",
      needs: "list and watch of network-attachment-definitions",
      byDefault: true,
      rights: [definitionsWatch],
      load: async () => (await import("./definition-cache.ts")).definitionCache,
    },
    status: {
      about:
        "write the network status of every pod: ADD does not wait for the API server",
      needs: "list and watch of pods",
      rights: [podsWatch],
      load: async () => (await import("./report/status.ts")).statusByAgent,
    },
    gc: {
      about: "delete attachments of containers that are gone, each minute",
      needs:
        "hostPID and a privileged container: it executes the host's genie gc",
      isPrivileged: true,
      rights: [],
      load: async () => (await import("./pods/periodic-gc.ts")).gcEvery(60_000),
    },
    load: {
      about: "measure the traffic of each network for the automatic choice",
      needs: "the host's network",
      rights: [],
      load: async () => (await import("./metrics/load.ts")).load,
    },
    attach: {
      about:
        "attach and detach networks of running pods as their annotations change",
      needs:
        "list and watch of pods and of network-attachment-definitions; hostPID and a privileged container",
      isPrivileged: true,
      rights: [podsWatch, definitionsWatch],
      load: async () => (await import("./pods/reconcile.ts")).reconcile,
    },
    events: {
      about: "write events about the networks of pods",
      needs: "list and watch of pods, create and patch of events",
      rights: [
        podsWatch,
        { apiGroups: [""], resources: ["events"], verbs: ["create", "patch"] },
      ],
      load: async () => (await import("./report/events.ts")).events,
    },
    repair: {
      about: "check attachments each minute, and attach again those that broke",
      needs: "hostPID and a privileged container: it executes the host's genie",
      isPrivileged: true,
      rights: [],
      load: async () => (await import("./pods/repair.ts")).repair,
    },
    taint: {
      about:
        "remove the node's taint genie/not-ready when its networks are ready, and set it again",
      needs:
        "get and patch of nodes; the service account: a node's own credential may not change its taints",
      needsAccount: true,
      rights: [nodeRights],
      load: async () => (await import("./node/taint.ts")).taintPart(),
    },
    labels: {
      about: "label the node with the names of its networks that are ready",
      needs: "get and patch of nodes",
      rights: [nodeRights],
      load: async () => (await import("./node/labels.ts")).labels,
    },
    metrics: {
      value: "ADDRESS",
      check: parseAddress,
      about:
        "serve /metrics and /readyz at this [HOST:]PORT, by default on a loopback address",
      needs: "list and watch of pods, for the audit",
      rights: [podsWatch],
      load: async (address) =>
        (await import("./metrics/metrics-server.ts")).metricsServer(
          parseAddress(address),
        ),
    },
    textfile: {
      value: "DIR",
      check: requireAbsolute,
      about: "write the metrics into this directory of node-exporter",
      needs: "list and watch of pods, for the audit; the directory, writable",
      rights: [podsWatch],
      load: async (directory) =>
        (await import("./metrics/metrics-file.ts")).metricsFile(directory),
    },
  } satisfies Record<string, PartEntry>),
);

/** `[HOST:]PORT`. The chart's schema has the pattern too. */
export const addressPattern = /^(?:(\[[\da-fA-F:.]+\]|[^\s:[\]]*):)?(\d{1,5})$/;

/**
 * The value of `--metrics`. A port alone is on a loopback address: by default, only the
 * node reads the metrics.
 */
export function parseAddress(text: string): { hostname: string; port: number } {
  const [, host, digits = ""] = addressPattern.exec(text) ?? [];
  const port = Number(digits);
  if (digits === "" || port > 65_535)
    throw new Error(
      `--metrics: expected [HOST:]PORT, got ${JSON.stringify(text)}`,
    );
  return { hostname: host?.replace(/^\[|\]$/g, "") || "127.0.0.1", port };
}

function requireAbsolute(directory: string): void {
  if (!isAbsolute(directory))
    throw new Error(
      `--textfile: expected an absolute path, got ${JSON.stringify(directory)}`,
    );
}
