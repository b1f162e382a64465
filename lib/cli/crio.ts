/**
 * What CRI-O's GC at its start would do to pods (container-runtimes.md §3.7):
 * every network of the directory but its default one is told that nothing is valid,
 * and what libcni remembers of it is deleted. K-1 says what keeps pods safe.
 */
import { readdirSync } from "node:fs";
import { has } from "../cni/version.ts";
import type { Candidate } from "../select/node-networks.ts";
import { textOf } from "./put.ts";
import type { Host } from "./host.ts";
import { own, parseJson } from "../cni/json.ts";

export interface Hazard {
  file: string;
  network: string;
  why: string;
}

export interface Situation {
  /** Networks of the directory, ours left out. */
  candidates: readonly Candidate[];
  /** The name that our configuration has or will have. */
  name: string;
  /** Names under which libcni remembers attachments. */
  cached: ReadonlySet<string>;
  /** The network that was the default before us, where we are not installed yet. */
  former?: string | undefined;
}

/** One for each network that would lose its pods; empty when none would. */
export function crioHazards(situation: Situation): Hazard[] {
  const { candidates, name } = situation;
  return candidates.flatMap(({ file, list }) => {
    // Of several with one name the first counts, and that is ours.
    if (list.name === name || list.disableGC) return [];
    const why = reason(list.name, list.cniVersion, situation);
    return why === undefined ? [] : [{ file, network: list.name, why }];
  });
}

function reason(
  network: string,
  version: string,
  { cached, former }: Situation,
): string | undefined {
  if (cached.has(network)) return "pods are attached to it";
  if (network === former) return "it was the default network";
  if (speaksGc(version)) return "its version has GC";
  return undefined;
}

/** What the operator is told. */
export function hazardText({ file, network, why }: Hazard): string {
  return `CRI-O deletes at its start what is attached to network ${JSON.stringify(network)} (${file}: ${why}): put "disableGC": true into that file, or move it to a confDir of its own`;
}

const cacheDirectory = "/var/lib/cni/results";

/** The networks of which libcni remembers attachments. */
export function cachedNetworks(host: Host): ReadonlySet<string> {
  const directory = host.path(cacheDirectory);
  return new Set(
    entries(directory).flatMap((entry) => {
      try {
        const value = parseJson(textOf(`${directory}/${entry}`) ?? "");
        const network = own(value, "networkName");
        return typeof network === "string" ? network : [];
      } catch {
        // Not the runtime's, or just being written.
        return [];
      }
    }),
  );
}

function entries(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function speaksGc(version: string): boolean {
  try {
    return has(version, "gc");
  } catch {
    return false;
  }
}
