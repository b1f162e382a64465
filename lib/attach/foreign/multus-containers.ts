/**
 * For the lists of a GC: the interfaces of containers that Multus attached before genie
 * was installed. The runtime lists CNI_IFNAME only, and a plugin would free the addresses
 * of the others (cni-plugin.md P-GC-4).
 */
import { isIdentifier } from "../../cni/identifiers.ts";
import { Code, CniError } from "../../cni/error.ts";
import type { ValidAttachment } from "../../cni/network-upkeep.ts";
import { messageOf } from "../../linux/errno.ts";
import { quote } from "../../linux/text.ts";
import type { Context } from "../context.ts";
import { multusPath } from "./foreign-records.ts";
import { multusAttachments } from "./multus-record.ts";

export interface MultusAttachment {
  /** The name of its network. */
  network: string;
  pair: ValidAttachment;
}

/**
 * The attachments beside CNI_IFNAME in the files of Multus of valid containers. Throws 5
 * for a file that cannot be understood as a whole: no list would be complete.
 */
export function attachmentsOfMultus(
  context: Context,
  valid: readonly ValidAttachment[],
): MultusAttachment[] {
  return valid.flatMap(({ containerID, ifname: cniIfname }) => {
    const path = multusPath(context, containerID);
    if (path === undefined || !isIdentifier(containerID)) return [];
    const request = { ...context.request, ifname: cniIfname };
    const refuse = (problems: string) => {
      throw new Error(problems);
    };
    try {
      const own = { ...context, request };
      const attachments = multusAttachments(path, own, refuse);
      return (attachments ?? [])
        .filter(({ ifname }) => ifname !== cniIfname)
        .map(({ list, ifname }) => ({
          network: list.name,
          pair: { containerID, ifname },
        }));
    } catch (cause) {
      throw new CniError(
        Code.io,
        `refusing GC of networks: unreadable file of Multus ${quote(path)}: ${messageOf(cause)}`,
        { cause },
      );
    }
  });
}
