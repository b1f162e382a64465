/**
 * genie on the node, as an operator uses it.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Daemon, type DaemonOptions } from "./daemon.ts";
import { type Place, firstNode, server } from "./place.ts";
import { confDir, extra } from "./networks.ts";
import type { Cluster } from "./node.ts";
import { run } from "../../scripts/run.ts";
import { until } from "./until.ts";

/** Where an operator would renew the token. */
export const tokenFile = "/etc/genie/token";

export const account = "system:serviceaccount:kube-system:genie";

/** Applies `genie manifest`, all but what `without` names, and a definition. */
export async function applyManifest(
  { genie, kubectl }: Cluster,
  options: readonly string[] = [],
  without: readonly string[] = ["DaemonSet"],
): Promise<string> {
  const objects = Bun.YAML.parse(
    await run([genie, "manifest", ...options]),
  ) as {
    kind: string;
  }[];
  const said = await kubectl.apply(
    objects.filter(({ kind }) => !without.includes(kind)),
  );
  await kubectl.run(
    "wait",
    "--for=condition=Established",
    "--timeout=30s",
    "crd/network-attachment-definitions.k8s.cni.cncf.io",
  );
  await kubectl.apply([extra]);
  return said;
}

/** `genie install` with a token of the service account; what it says. */
export async function install(
  cluster: Cluster,
  executable = cluster.genie,
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  await writeToken(cluster);
  const command = [
    executable,
    "install",
    `--server=${server}`,
    `--certificate-authority=${cluster.pki.ca.certFile}`,
    `--token-file=${tokenFile}`,
  ];
  return run(command, { env });
}

/** A new token of the service account, bound to what `options` say. */
export async function writeToken(
  { kubectl }: Cluster,
  ...options: readonly string[]
): Promise<void> {
  const token = await kubectl.run(
    "create",
    "token",
    "genie",
    "-n",
    "kube-system",
    ...options,
  );
  mkdirSync("/etc/genie", { recursive: true, mode: 0o700 });
  writeFileSync(tokenFile, token.trim(), { mode: 0o600 });
}

/** The executable on the node, for its operator's commands. */
export function installed(...args: string[]): Promise<string> {
  return run(["/opt/cni/bin/genie", ...args]);
}

/** `genie agent` with these parts, not started yet; by default of the first node. */
export function agentOf(
  { directory, genie }: Cluster,
  parts: readonly string[],
  {
    place = firstNode(directory),
    ready = () => true,
  }: { place?: Place; ready?: DaemonOptions["ready"] } = {},
): Daemon {
  return new Daemon(directory, {
    name: `agent${parts[0]?.replace("--", "-")}-${place.name}`,
    cmd: place.command([
      genie,
      "agent",
      "--no-install",
      `--node=${place.name}`,
      ...parts,
    ]),
    ready,
    seconds: 20,
  });
}

/**
 * containerd has read the files as the change left them. It takes the events of its
 * directory one by one: when it logs that of a marker, it has read what came before.
 */
export async function untilRuntimeReads(
  { runtime }: Cluster,
  change: () => unknown,
): Promise<void> {
  await change();
  const marker = `.read-${crypto.randomUUID()}`;
  const path = join(confDir, marker);
  writeFileSync(path, "");
  rmSync(path);
  await until("containerd to read its CNI directory", 30, () =>
    runtime.daemon.log().includes(marker),
  );
}
