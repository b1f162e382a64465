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

/**
 * One entry for each network of the directory that would lose its pods. `name` is the
 * present or future one of genie's network; `previousDefault` the default network before genie,
 * if genie is not installed yet.
 */
export function crioHazards(
  host: Host,
  candidates: readonly Candidate[],
  name: string,
  previousDefault?: string,
): Hazard[] {
  const cached = cachedNetworks(host);
  const reasonOf = ({ list }: Candidate): string | undefined => {
    if (cached.has(list.name)) return "pods are attached to it";
    if (list.name === previousDefault) return "it was the default network";
    return attempt(() => has(list.cniVersion, "gc"))
      ? "its version has GC"
      : undefined;
  };
  return candidates.flatMap((candidate) => {
    const { file, list } = candidate;
    // CRI-O uses the first of several networks with one name: genie's.
    if (list.name === name || list.disableGC) return [];
    const why = reasonOf(candidate);
    return why === undefined ? [] : [{ file, network: list.name, why }];
  });
}

export function hazardText({ file, network, why }: Hazard): string {
  return `CRI-O deletes all attachments of network ${quote(network)} at its start (${file}: ${why}): add "disableGC": true to that file, or move it to another confDir`;
}

const cacheDirectory = "/var/lib/cni/results";

/** The networks with entries in libcni's cache. */
function cachedNetworks(host: Host): ReadonlySet<string> {
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
