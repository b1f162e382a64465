/**
 * The long-running process beside the plugin: it starts the parts, restarts those that
 * fail, and ends them (agent.md). No pod depends on it.
 */
import type { V1Pod } from "@kubernetes/client-node";
import type { Context } from "../attach/context.ts";
import type { NetworkAttachmentDefinition } from "../kube/objects.ts";
import type { Api } from "../kube/typed-api.ts";
import { monotonicMs } from "../linux/deadline.ts";
import { messageOf } from "../linux/errno.ts";
import { escapeControls } from "../linux/text.ts";
import type { Fields, Level } from "../state/log-level.ts";
import { type HostGenie, runHostGenie } from "./host-genie.ts";
import { definitionKind, podKind } from "./watch/kinds.ts";
import { CallCounters } from "./metrics/call-counters.ts";
import type { Agent, Part } from "./part.ts";
import { aborted, backoff, pause } from "./timing.ts";
import { type Informer, startInformer } from "./watch/informer.ts";

interface AgentOptions extends Pick<
  Agent,
  "place" | "nodeState" | "synced" | "log"
> {
  /** The node's configuration as it is now. */
  context(): Context;
  /** Name of this node in the API. */
  node: string | undefined;
  host: HostGenie;
  /** Options of every command of genie: the directories of the host. */
  directories: readonly string[];
  openApi(): Promise<Api>;
}

/** `signal` ends the informers. */
export function createAgent(
  { node, host, directories, openApi, context, ...given }: AgentOptions,
  signal: AbortSignal,
): Agent {
  let opened: Promise<Api> | undefined;
  let pods: Informer<V1Pod> | undefined;
  let definitions: Informer<NetworkAttachmentDefinition> | undefined;
  let calls: CallCounters | undefined;
  const api = (): Promise<Api> => {
    opened ??= openApi().catch((error: unknown) => {
      // The next call reads the configuration again.
      opened = undefined;
      throw error;
    });
    return opened;
  };
  const dependencies = { api, log: given.log, signal };
  const agent: Agent = {
    ...given,
    get context() {
      return context();
    },
    node: node ?? "",
    api,
    pods: () => (pods ??= startInformer(podKind(node), dependencies)),
    definitions: () =>
      (definitions ??= startInformer(definitionKind, dependencies)),
    calls: () => (calls ??= new CallCounters(context().config.dataDir)),
    genie: (args, options) =>
      runHostGenie(host, [...args, ...directories], options),
    event: (subject, type, reason, message) =>
      agent.eventSink?.({ subject, type, reason, message }),
  };
  return agent;
}

/** Milliseconds: the kubelet kills a container 5 s after SIGTERM. */
const endWithinMs = 4000;

/** Milliseconds: a part that ran longer begins with short pauses again when it fails. */
const steadyMs = 60_000;

/** Milliseconds of the longest pause: a node waits for its labels when the API server is back. */
const longestMs = 60_000;

/** Runs all parts until the signal is aborted; a part that does not end then is left. */
export async function runParts(
  parts: readonly Part[],
  agent: Agent,
  signal: AbortSignal,
  endMs = endWithinMs,
): Promise<void> {
  const running = Promise.all(
    parts.map((part) => supervise(part, agent, signal)),
  );
  await Promise.race([running, aborted(signal)]);
  await Promise.race([running, Bun.sleep(endMs)]);
}

/** Calls a part again when it fails. */
async function supervise(
  part: Part,
  agent: Agent,
  signal: AbortSignal,
): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    const began = monotonicMs();
    try {
      await part.run(agent, signal);
      return;
    } catch (error) {
      if (signal.aborted) return;
      if (monotonicMs() - began > steadyMs) failures = 0;
      failures++;
      const fields: Fields = { part: part.name, error: messageOf(error) };
      agent.log("error", "a part failed and is started again", fields);
    }
    await pause(backoff(failures, { longestMs }), signal);
  }
}

/** A line of the agent's log, in JSON. */
export function lineOf(
  level: Level,
  message: string,
  fields: Fields,
  now: Date,
): string {
  const time = now.toISOString();
  return `${escapeControls(JSON.stringify({ time, level, msg: message, ...fields }))}\n`;
}
