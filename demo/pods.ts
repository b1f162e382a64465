/**
 * The demo's pods and their expected networks.
 */
import type { NetworkName } from "./networks.ts";

export interface DemoPod {
  name: string;
  /** Its annotation `cni`; undefined: it has none. */
  cni?: string;
  /** In the order of the list: the network of eth0, of eth1. */
  networks: readonly NetworkName[];
  /** Whether the runtime asks for a port of the node. */
  mapped?: boolean;
}

export const namespace = "demo";

export const pods: readonly DemoPod[] = [
  { name: "red", cni: "canal", networks: ["canal"], mapped: true },
  { name: "blue", cni: "weave", networks: ["weave"] },
  { name: "both", cni: "canal,weave", networks: ["canal", "weave"] },
  { name: "plain", networks: ["canal"] },
];

/** Its network does not exist. */
export const lost: DemoPod = { name: "lost", cni: "calico", networks: [] };
