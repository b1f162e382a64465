/**
 * Which networks of the node a pod's or a definition's author may select
 * (`allowedNetworks`, selection.md §5). Pure.
 */
import { Code, CniError } from "../cni/error.ts";
import type { GenieConfig } from "./config.ts";
import { defaultsOrNone } from "./default-networks.ts";
import { joined } from "./problems.ts";
import { type Candidate, type Networks, findNetwork } from "./resolve.ts";

/** A network that was found, and the directory that it was found in. */
export interface Selected {
  /** For the message: `network "weave"`. */
  what: string;
  candidate: Candidate;
  from: Networks;
}

/** Throws 7 unless the network is allowed; the default network, of `networks`, always is. */
export function requireAllowed(
  { what, candidate, from }: Selected,
  config: GenieConfig,
  networks: Networks,
): void {
  const names = config.allowedNetworks;
  if (!names) return;
  for (const { list } of defaultsOrNone(config, networks))
    if (list === candidate.list) return;
  // The usual name first: of the others more files may have to be read.
  if (names.includes(candidate.key) && isNamed(candidate.key)) return;
  for (const name of names) if (isNamed(name)) return;
  throw new CniError(
    Code.invalidNetworkConfig,
    `${what} is not allowed on this node: allowedNetworks has ${joined(names, 4000) || "none"}`,
  );

  function isNamed(name: string): boolean {
    return findNetwork(from, name)?.list === candidate.list;
  }
}
