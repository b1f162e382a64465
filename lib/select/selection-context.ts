/** The inputs of a selection (selection.md). Types only. */
import type { Deadline } from "../linux/deadline.ts";
import type { GenieConfig } from "./config.ts";
import type { Networks, NodeNetwork } from "./node-networks.ts";

/** Everything but the annotations. */
export interface SelectionContext {
  config: GenieConfig;
  networks: Networks;
  /** CNI_IFNAME: the attachment of that name is the primary. */
  ifname: string;
  /** CNI_ARGS of the request. */
  args: string;
  /** The pod's namespace; undefined outside of Kubernetes. */
  namespace?: string | undefined;
  /** The networks of `multusConfDir`, read if a definition needs them; undefined without any. */
  multusNetworks?: () => Networks | undefined;
  /** See {@link GivenNetworks}. */
  given?: readonly NodeNetwork[] | undefined;
  /** Reports requests that have no effect. */
  warn?: (message: string) => void;
}

/**
 * The networks of a pod with a blank `cni`: its logical networks, or an automatic choice
 * (selection.md §2, rules c and d).
 */
export interface GivenNetworks {
  networks: NodeNetwork[];
  /** Whether the status reports a single network too, because the pod did not name it (selection.md §10). */
  isReported: boolean;
  /** Makes the automatic choice, which replaces `networks`. Called when everything else of the pod is known. */
  decide?(deadline: Deadline): Promise<Decision>;
}

/** An automatic choice. Until `release` is called, no other pod of the node gets one. */
interface Decision {
  network: NodeNetwork;
  /** Called when the record is written, or none will be. */
  release: (() => void) | undefined;
}
