/**
 * `--attach`: the networks of running pods follow their annotations (agent.md "Hot attach
 * and detach"). It compares and decides when; the installed genie attaches and detaches,
 * from the record as it is then. Whatever this process knew is found again from records
 * and annotations.
 */
import type { V1Pod } from "@kubernetes/client-node";
import type { Context } from "../../attach/context.ts";
import { type ConfFile, readConfDir } from "../../cni/confdir.ts";
import { own } from "../../cni/json.ts";
import { monotonicMs } from "../../linux/deadline.ts";
import { networksAnnotation } from "../../select/attachment.ts";
import type { Agent, Part } from "../part.ts";
import { pause, repeat, together } from "../timing.ts";
import { PodState } from "./pod-state.ts";
import { PodSteps } from "./pod-steps.ts";
import type { Informer } from "../watch/informer.ts";

/** Pods whose networks are changed at the same time. */
const mostPods = 4;

/** Milliseconds between two looks at a pod: records change, by hand or by the runtime, without an event. */
const resyncMs = 30_000;

/** The least milliseconds from look to look at a pod without an event, whatever fails. */
const leastMs = 500;

export const reconcile: Part = createReconcile();

/** `lookMs`: between two looks at the node's configuration and networks. */
export function createReconcile(lookMs = 5000): Part {
  return {
    name: "attach",
    synced: (agent) => agent.pods().state() === "current",
    run(agent, signal) {
      const controller = new Controller(agent, signal);
      return together(
        signal,
        (end) => controller.run(end),
        (end) => repeat(lookMs, end, () => controller.lookAtNode()),
      );
    },
  };
}

/** The work queue, as long as the pods of the node, and its workers. */
class Controller {
  readonly #agent: Agent;
  readonly #pods: Informer<V1Pod>;
  readonly #steps: PodSteps;
  /** The states by the UIDs of the pods. */
  #states: ReadonlyMap<string, PodState> = new Map();
  readonly #running = new Map<PodState, Promise<void>>();
  /** Aborted when a pod may be due. */
  #woken = new AbortController();
  #unwatchDefinitions: (() => void) | undefined;
  /** The node as it was at the last look. */
  #node: { context: Context; files: readonly ConfFile[] } | undefined;

  constructor(agent: Agent, signal: AbortSignal) {
    this.#agent = agent;
    this.#pods = agent.pods();
    this.#steps = new PodSteps(agent, signal);
  }

  async run(signal: AbortSignal): Promise<void> {
    const unsubscribe = this.#pods.subscribe((_, pod) => this.#enqueue(pod));
    try {
      while (!signal.aborted) {
        this.#woken = new AbortController();
        const ms = this.#startDue();
        const wake = AbortSignal.any([signal, this.#woken.signal]);
        await pause(ms, wake);
      }
      await Promise.all(this.#running.values());
    } finally {
      unsubscribe();
      this.#unwatchDefinitions?.();
    }
  }

  /** Starts the pods that are due, the longest waiting first. Returns milliseconds until the next one is. */
  #startDue(): number {
    const now = monotonicMs();
    const pods = this.#pods.list().map((pod) => {
      const state = this.#states.get(uidOf(pod)) ?? new PodState();
      return { pod, state };
    });
    this.#states = new Map(pods.map(({ pod, state }) => [uidOf(pod), state]));
    const waiting = pods
      .filter(({ state }) => !this.#running.has(state))
      .toSorted((a, b) => a.state.dueAt - b.state.dueAt);
    for (const { pod, state } of waiting) {
      if (this.#running.size === mostPods) return resyncMs;
      if (state.dueAt > now) return Math.min(resyncMs, state.dueAt - now);
      this.#running.set(state, this.#reconcile(pod, state));
    }
    return resyncMs;
  }

  async #reconcile(pod: V1Pod, state: PodState): Promise<void> {
    // An event meanwhile makes it due again.
    state.dueAt = Infinity;
    this.#watchDefinitions(pod);
    await this.#steps.reconcile(pod, state);
    const waitMs = Math.min(resyncMs, state.retries.nextMs());
    state.dueAfter(Math.max(leastMs, waitMs));
    this.#running.delete(state);
    this.#woken.abort();
  }

  #enqueue(pod: V1Pod): void {
    this.#states.get(uidOf(pod))?.dueAfter(0);
    this.#woken.abort();
  }

  /** Only while a pod names definitions. */
  #watchDefinitions({ metadata }: V1Pod): void {
    if (own(metadata?.annotations, networksAnnotation) === undefined) return;
    this.#unwatchDefinitions ??= this.#agent
      .definitions()
      .subscribe((_, { metadata: { name, namespace } }) =>
        this.#definitionChanged(name, namespace),
      );
  }

  /** All pods are looked at again after a change of the configuration or of a network. */
  lookAtNode(): void {
    const { context } = this.#agent;
    const before = this.#node;
    const now = (this.#node = { context, files: filesOf(context) });
    const isSame =
      before?.context === context && Bun.deepEquals(before.files, now.files);
    if (!before || isSame) return;
    for (const pod of this.#pods.list()) this.#lookAgain(pod);
  }

  /** The pods that name it are looked at again, at once. */
  #definitionChanged(name = "", namespace = ""): void {
    for (const pod of this.#pods.list()) {
      const text = own(pod.metadata?.annotations, networksAnnotation);
      if (typeof text !== "string" || !text.includes(name)) continue;
      if (pod.metadata?.namespace !== namespace && !text.includes(namespace))
        continue;
      this.#lookAgain(pod);
    }
  }

  #lookAgain(pod: V1Pod): void {
    this.#states.get(uidOf(pod))?.compareAgain();
    this.#enqueue(pod);
  }
}

/** Those of a directory that cannot be read: none. */
function filesOf({ config }: Context): readonly ConfFile[] {
  try {
    return readConfDir(config.confDir);
  } catch {
    return [];
  }
}

function uidOf({ metadata }: V1Pod): string {
  return metadata?.uid ?? "";
}
