/** The kernel's counters of network interfaces, by sysfs. */
import { readFile, statusIfAny } from "./files.ts";

/** Bytes since the interface was made, in the view of its own side. */
export interface Traffic {
  received: number;
  sent: number;
}

/**
 * The counters of the host's end of a link; undefined for an interface that is missing, or
 * is a bridge, which many pods share.
 */
export function hostEndTraffic(
  ifname: string,
  sys = "/sys",
): Traffic | undefined {
  const directory = `${sys}/class/net/${ifname}`;
  if (statusIfAny(`${directory}/bridge`)) return undefined;
  try {
    const read = (name: string) =>
      Number(readFile(`${directory}/statistics/${name}`));
    return { received: read("rx_bytes"), sent: read("tx_bytes") };
  } catch {
    // The interface has gone.
    return undefined;
  }
}
