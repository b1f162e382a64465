/**
 * Names of the interfaces of a pod's attachments (selection.md §3 "Interface names",
 * §6 "Interface"). Pure. Explicit names are reserved before any is assigned.
 */
import { type CniError, invalidConfig } from "../cni/error.ts";
import { quote } from "../linux/text.ts";
import { defaultNetworkAnnotation } from "./attachment.ts";

type RequestedName = string | undefined;

/**
 * The names for `first`, the networks of `cni` or the default network, then those for
 * `added`, the networks of the NPWG annotation. In `first`, the first network without a name
 * gets CNI_IFNAME unless another requests it; the others get the lowest free `eth<N>`. In
 * `added`, each gets the lowest free `net<N>`, N not below its position. Throws 7 for a
 * repeated name, and for `lo`.
 */
export function nameInterfaces(
  first: readonly RequestedName[],
  added: readonly RequestedName[],
  cniIfname: string,
): string[] {
  const taken = distinctNames([...first, ...added]);
  let isPrimaryFree = !first.includes(cniIfname);
  // A definition cannot have it beside the primary network.
  if (isPrimaryFree && first.includes(undefined) && taken.has(cniIfname))
    throw repeated(
      cniIfname,
      `, which the pod's primary network has: annotation ${quote(defaultNetworkAnnotation)} replaces that network`,
    );
  const take = (ifname: string) => {
    taken.add(ifname);
    return ifname;
  };
  const names: string[] = [];
  for (const ifname of first) {
    if (ifname !== undefined) names.push(ifname);
    else if (isPrimaryFree) names.push(take(cniIfname));
    else names.push(take(lowestFree(taken, "eth", 0)));
    if (ifname === undefined) isPrimaryFree = false;
  }
  let position = 0;
  for (const ifname of added) {
    position++;
    names.push(ifname ?? take(lowestFree(taken, "net", position)));
  }
  return names;
}

/**
 * The requested names. Throws 7 for a repeated one, and for `lo`: every pod has it, so the
 * plugin would fail, and no rollback could delete it.
 */
export function distinctNames(
  requested: readonly RequestedName[],
): Set<string> {
  const names = new Set<string>();
  for (const ifname of requested) {
    if (ifname === undefined) continue;
    if (ifname === "lo")
      throw invalidConfig(
        'interface name "lo" is that of the pod\'s loopback interface',
      );
    if (names.has(ifname)) throw repeated(ifname);
    names.add(ifname);
  }
  return names;
}

/** The lowest `<prefix><N>` that is not taken, N not below `from`. */
export function lowestFree(
  taken: ReadonlySet<string>,
  prefix: "eth" | "net",
  from: number,
): string {
  let n = from;
  while (taken.has(`${prefix}${n}`)) n++;
  return `${prefix}${n}`;
}

function repeated(ifname: string, reason = ""): CniError {
  return invalidConfig(
    `repeated request for interface name ${quote(ifname)}${reason}`,
  );
}
