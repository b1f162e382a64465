/**
 * The cache of the runtime's libcni: an entry from a successful ADD to a successful
 * DEL. It is the only trace of a pod whose record is lost.
 */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { GenieCall, Outcome } from "./calls.ts";
import type { TorturedNode } from "./tortured-node.ts";

export function remember(
  node: TorturedNode,
  { verb, containerId, args = "", config }: GenieCall,
  { exitCode, json }: Outcome,
): void {
  if (containerId === undefined || exitCode !== 0) return;
  const name = String(config["name"]);
  const path = join(node.cacheDir, `${name}-${containerId}-eth0`);
  if (verb === "DEL") rmSync(path, { force: true });
  if (verb !== "ADD") return;
  const { runtimeConfig, ...plugin } = config;
  const list = { cniVersion: config["cniVersion"], name, plugins: [plugin] };
  const entry = {
    kind: "cniCacheV1",
    containerId,
    config: Buffer.from(JSON.stringify(list)).toString("base64"),
    ifName: "eth0",
    networkName: name,
    cniArgs: args.split(";").map((pair) => pair.split("=")),
    capabilityArgs: runtimeConfig,
    result: json,
  };
  writeFileSync(path, JSON.stringify(entry));
}
