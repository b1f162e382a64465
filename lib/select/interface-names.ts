/**
 * Names of the interfaces of a pod's attachments (selection.md §3 "Interface names",
 * §6 "Interface"). Pure. Explicit names are reserved before any is assigned.
 */
import { Code, CniError } from "../cni/error.ts";
import { quote } from "../linux/text.ts";
import { defaultNetworkAnnotation } from "./attachment.ts";

type RequestedName = string | undefined;

/**
 * The names for the networks of `cni` or the default network, then those for the
 * networks that the NPWG annotation adds. Of the former the first without a name takes
 * CNI_IFNAME unless it is requested, the others the lowest free `eth<N>`; the added
 * ones take the lowest free `net<N>`, N not below the position. Throws 7 for a repeated name, and for
 * that of the loopback interface.
 */
export function nameInterfaces(
  first: readonly RequestedName[],
  added: readonly RequestedName[],
  cniIfname: string,
): string[] {
  refuseLoopback(first);
  refuseLoopback(added);
  const names = new InterfaceNames();
  for (const ifname of first) names.reserve(ifname);
  for (const ifname of added) names.reserve(ifname);
  let isPrimaryFree = !first.includes(cniIfname);
  if (isPrimaryFree && first.includes(undefined) && added.includes(cniIfname))
    throw secondPrimary(cniIfname);
  const assigned: string[] = [];
  for (const ifname of first) {
    if (ifname !== undefined) assigned.push(ifname);
    else if (!isPrimaryFree) assigned.push(names.lowest("eth", 0));
    else {
      isPrimaryFree = false;
      names.reserve(cniIfname);
      assigned.push(cniIfname);
    }
  }
  for (const [i, ifname] of added.entries())
    assigned.push(ifname ?? names.lowest("net", i + 1));
  return assigned;
}

/** A definition cannot have CNI_IFNAME beside the primary network; another annotation replaces that network. */
function secondPrimary(cniIfname: string): CniError {
  return repeated(
    cniIfname,
    `, which the pod's primary network has: annotation ${quote(defaultNetworkAnnotation)} replaces that network`,
  );
}

const loopback = "lo";

/** Throws 7: every pod has it, so the plugin would fail, and no rollback could delete it. */
export function refuseLoopback(requested: readonly RequestedName[]): void {
  if (!requested.includes(loopback)) return;
  throw new CniError(
    Code.invalidNetworkConfig,
    `interface name ${quote(loopback)} is that of the pod's loopback interface`,
  );
}

class InterfaceNames {
  readonly #taken = new Set<string>();

  /** A second request for the same name is an error 7. */
  reserve(ifname: RequestedName): void {
    if (ifname === undefined) return;
    if (this.#taken.has(ifname)) throw repeated(ifname);
    this.#taken.add(ifname);
  }

  /** Takes the lowest free `<prefix><N>` with N not below `from`. */
  lowest(prefix: "eth" | "net", from: number): string {
    const ifname = lowestFree(this.#taken, prefix, from);
    this.#taken.add(ifname);
    return ifname;
  }
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
  return new CniError(
    Code.invalidNetworkConfig,
    `repeated request for interface name ${quote(ifname)}${reason}`,
  );
}
