/**
 * The parts of `genie agent`, each of them one switch, and the agent that they share
 * (agent.md). A part never works on networks itself: it executes the installed genie, and
 * the record is all that it shares with it.
 */
import type { V1ObjectReference, V1Pod } from "@kubernetes/client-node";
import type { Context } from "../attach/context.ts";
import type { NetworkAttachmentDefinition } from "../kube/objects.ts";
import type { Api } from "../kube/typed-api.ts";
import type { Level, Fields } from "../state/log-level.ts";
import type { GenieResult } from "./host-genie.ts";
import type { CallCounters } from "./metrics/call-counters.ts";
import type { NodeState } from "./node/node-state.ts";
import type { Informer } from "./watch/informer.ts";

export interface Part {
  readonly name: string;
  /**
   * Ends when the signal is aborted, within 4 s. What it throws is logged, and it is
   * called again after a pause that grows.
   */
  run(agent: Agent, signal: AbortSignal): Promise<void>;
  /** For /readyz; absent: always. */
  synced?(agent: Agent): boolean;
}

/** The path of a node's file for this process, which may be in a container. */
export type Place = (path: string) => string;

export interface Agent {
  /** Name of this node in the API; "" if nobody knows it. */
  readonly node: string;
  /**
   * The node's configuration of genie, its records and directories, as this process sees
   * them. Another object when the file changes; `dataDir` stays.
   */
  readonly context: Context;
  /** Whether the networks of the node are ready, as its plugins see it. */
  nodeState(): Promise<NodeState>;
  readonly place: Place;
  /** Whether all parts are in sync, for /readyz. */
  synced(): boolean;
  /** Throws 7 without a usable server. */
  readonly api: () => Promise<Api>;
  /** The pods of this node. Shared: the first call starts the watch. */
  pods(): Informer<V1Pod>;
  definitions(): Informer<NetworkAttachmentDefinition>;
  /** The calls of the plugin. Shared: each line of calls.log is read once. */
  calls(): CallCounters;
  /** Executes the installed genie where the container runtime executes it. */
  genie(
    args: readonly string[],
    options?: { stdin?: string },
  ): Promise<GenieResult>;
  readonly log: (level: Level, message: string, fields?: Fields) => void;
  /** Whether the part of due statuses is at work, so that ADD may leave a status to it. */
  writesStatuses?: boolean;
  /** Where events go; the part `--events` sets it. */
  eventSink?: ((event: AgentEvent) => void) | undefined;
  /** An event of a pod or of the node; nothing without `--events`. */
  event(
    subject: AgentEvent["subject"],
    type: AgentEvent["type"],
    reason: string,
    message: string,
  ): void;
}

export interface AgentEvent {
  subject: V1ObjectReference;
  type: "Normal" | "Warning";
  reason: string;
  message: string;
}
