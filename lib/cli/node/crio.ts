/**
 * The effect of CRI-O's GC at its start (container-runtimes.md §3.7): it deletes
 * libcni's cached attachments of every network of the directory but the default one.
 * K-1 says how pods are protected.
 */
import { ownText, parseJson } from "../../cni/json.ts";
import { has } from "../../cni/version.ts";
import { quote } from "../../linux/text.ts";
import type { Candidate } from "../../select/node-networks.ts";
import { attempt } from "./attempt.ts";
import type { Host } from "./host.ts";
import { namesIn, readTextIfAny } from "./read-file.ts";

interface Hazard {
  file: string;
  network: string;
  why: string;
}

export interface Situation {
  /** Networks of the directory, without genie's own. */
  candidates: readonly Candidate[];
  /** The present or future name of genie's network. */
  name: string;
  /** Names of networks with entries in libcni's cache. */
  cached: ReadonlySet<string>;
  /** The default network before genie, if genie is not installed yet. */
  former?: string | undefined;
}

/** One entry for each network that would lose its pods. */
export function crioHazards(situation: Situation): Hazard[] {
  const { candidates, name } = situation;
  return candidates.flatMap(({ file, list }) => {
    // CRI-O uses the first of several networks with one name: genie's.
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
  if (attempt(() => has(version, "gc"))) return "its version has GC";
  return undefined;
}

export function hazardText({ file, network, why }: Hazard): string {
  return `CRI-O deletes all attachments of network ${quote(network)} at its start (${file}: ${why}): add "disableGC": true to that file, or move it to another confDir`;
}

const cacheDirectory = "/var/lib/cni/results";

/** The networks with entries in libcni's cache. */
export function cachedNetworks(host: Host): ReadonlySet<string> {
  const directory = host.path(cacheDirectory);
  return new Set(
    namesIn(directory).flatMap((entry) => {
      // The file may be no entry of the runtime, or incomplete.
      const value = attempt(() =>
        parseJson(readTextIfAny(`${directory}/${entry}`) ?? ""),
      );
      return ownText(value, "networkName") ?? [];
    }),
  );
}
