/**
 * Interface names for a pod's attachments (selection.md §3 "Interface names",
 * §6 "Interface"). Pure. Explicit names are reserved before any is chosen.
 */
import { Code, CniError } from "../cni/error.ts";
import { quote } from "../linux/text.ts";

/** Names already asked for in either annotation; a second request for one is an error 7. */
export class InterfaceNames {
  readonly #taken = new Set<string>();

  reserve(ifname: string): void {
    if (this.#taken.has(ifname)) {
      throw new CniError(
        Code.invalidNetworkConfig,
        `repeated request for interface name ${quote(ifname)}`,
      );
    }
    this.#taken.add(ifname);
  }

  /** The lowest free `<prefix><N>` with N not below `from`; it is taken from now on. */
  lowest(prefix: string, from: number): string {
    let n = from;
    while (this.#taken.has(`${prefix}${n}`)) n++;
    const ifname = `${prefix}${n}`;
    this.#taken.add(ifname);
    return ifname;
  }
}

/**
 * The names of the elements of one `cni` list, in order. `names` holds every
 * explicit name already. The first unnamed element takes CNI_IFNAME unless an
 * element has it; the others take the lowest free `eth<N>`.
 */
export function nameInterfaces(
  requested: readonly (string | undefined)[],
  cniIfname: string,
  names: InterfaceNames,
): string[] {
  let primaryIsFree = !requested.includes(cniIfname);
  const named: string[] = [];
  for (const ifname of requested) {
    if (ifname !== undefined) named.push(ifname);
    else if (!primaryIsFree) named.push(names.lowest("eth", 0));
    else {
      primaryIsFree = false;
      names.reserve(cniIfname);
      named.push(cniIfname);
    }
  }
  return named;
}
