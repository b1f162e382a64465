/**
 * An optional part of the output of `genie manifest`. A feature has switches; without them
 * it adds nothing, so a right exists only while its part is on.
 * The Helm chart is generated from the same rows: each switch becomes a value.
 */
import type { V1PolicyRule } from "@kubernetes/client-node";
import type { Input } from "../command/input.ts";
import type { Options } from "../command/options.ts";

export interface Feature {
  options: Options;
  /** undefined: its switches are absent. Throws UsageError. */
  contribute(input: Input): Contribution | undefined;
}

export interface Contribution {
  /** Rights of the service account, which the DaemonSet's pods use. */
  accountRules?: readonly V1PolicyRule[];
  /** Rights of the nodes' own credentials. */
  nodeRules?: readonly V1PolicyRule[];
  /** Definitions of custom resources. */
  definitions?: readonly object[];
  /** Other objects; applied before the DaemonSet. */
  objects?: readonly object[];
  /** Arguments of the DaemonSet's container, after those of its command. */
  args?: readonly string[];
  /** Directories of the node, at the same path below the mounted root. */
  directories?: readonly { name: string; path: string }[];
  /** The address at which the agent serves /metrics and /readyz. */
  metrics?: { hostname: string; port: number };
  /** Works in the node's namespaces: the pod gets `hostPID` and is privileged. */
  privileged?: true;
}
