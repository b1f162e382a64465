/**
 * `--attach`: the networks of running pods follow their annotations (agent.md "Hot attach
 * and detach"). It compares and decides when; the installed genie attaches and detaches,
 * from the record as it is then. Whatever this process knew is found again from records
 * and annotations.
 */
import type { V1Pod } from "@kubernetes/client-node";
import { own } from "../../cni/json.ts";
import { networksAnnotation } from "../../select/attachment.ts";
import type { Agent, Part } from "../part.ts";
import { pause } from "../pause.ts";
import { type PodState, PodSteps, newState } from "./pod-steps.ts";
import type { Informer } from "../informer.ts";

/** Pods whose networks are changed at the same time. */
const mostPods = 4;

/** Milliseconds between two looks at all pods: by hand, and by the node, records change without an event. */
const lookEveryMs = 30_000;

/** Milliseconds between two looks at a pod without an event, whatever fails. */
const leastMs = 500;

export const reconcile: Part = {
  name: "attach",
  synced: (agent) => agent.pods().state() === "current",
  async run(agent, signal) {
    const pods = agent.pods();
    const reconciler = new Reconciler(agent, pods, signal);
    const unsubscribe = pods.subscribe((change, pod) =>
      change === "put" ? reconciler.look(pod) : reconciler.forget(pod),
    );
    try {
      while (!signal.aborted) {
        for (const pod of pods.list()) reconciler.look(pod);
        const waiting = pods.hasStarted ? [] : [pods.started];
        await Promise.race([pause(lookEveryMs, signal), ...waiting]);
      }
      await reconciler.ended();
    } finally {
      unsubscribe();
      reconciler.end();
    }
  },
};

class Reconciler {
  readonly #agent: Agent;
  readonly #pods: Informer<V1Pod>;
  readonly #signal: AbortSignal;
  readonly #steps: PodSteps;
  /** By UID. */
  readonly #states = new Map<string, PodState>();
  readonly #waiting: string[] = [];
  readonly #running = new Set<Promise<void>>();
  #definitions: (() => void) | undefined;

  constructor(agent: Agent, pods: Informer<V1Pod>, signal: AbortSignal) {
    this.#agent = agent;
    this.#pods = pods;
    this.#signal = signal;
    this.#steps = new PodSteps(agent, signal);
  }

  look({ metadata }: V1Pod): void {
    const { uid = "", namespace = "", name = "" } = metadata ?? {};
    const state = this.#states.get(uid);
    if (state?.isBusy) {
      state.isChanged = true;
      return;
    }
    const key = `${namespace}/${name}`;
    if (!this.#waiting.includes(key)) this.#waiting.push(key);
    this.#next();
  }

  forget({ metadata }: V1Pod): void {
    const uid = metadata?.uid ?? "";
    clearTimeout(this.#states.get(uid)?.timer);
    this.#states.delete(uid);
  }

  async ended(): Promise<void> {
    await Promise.all(this.#running);
  }

  end(): void {
    this.#definitions?.();
    for (const { timer } of this.#states.values()) clearTimeout(timer);
  }

  #next(): void {
    while (!this.#signal.aborted && this.#running.size < mostPods) {
      const [namespace, name] = this.#waiting.shift()?.split("/") ?? [];
      if (namespace === undefined || name === undefined) return;
      const pod = this.#pods.get(name, namespace);
      if (!pod) continue;
      const work: Promise<void> = this.#reconcile(pod).finally(() => {
        this.#running.delete(work);
        this.#next();
      });
      this.#running.add(work);
    }
  }

  async #reconcile(pod: V1Pod): Promise<void> {
    const uid = pod.metadata?.uid ?? "";
    const state = this.#states.get(uid) ?? newState();
    this.#states.set(uid, state);
    state.isBusy = true;
    state.isChanged = false;
    this.#watchDefinitions(pod);
    await this.#steps.take(pod, state);
    state.isBusy = false;
    if (this.#states.get(uid) !== state) return;
    if (state.isChanged) this.look(pod);
    this.#scheduleRetry(pod, state);
  }

  /** Only while a pod names definitions. */
  #watchDefinitions({ metadata }: V1Pod): void {
    if (own(metadata?.annotations, networksAnnotation) === undefined) return;
    this.#definitions ??= this.#agent
      .definitions()
      .subscribe((_, { metadata: { name, namespace } }) =>
        this.#definitionChanged(name, namespace),
      );
  }

  /** The pods that name it are looked at again, at once. */
  #definitionChanged(name = "", namespace = ""): void {
    for (const pod of this.#pods.list()) {
      const text = own(pod.metadata?.annotations, networksAnnotation);
      if (typeof text !== "string" || !text.includes(name)) continue;
      if (pod.metadata?.namespace !== namespace && !text.includes(namespace))
        continue;
      const state = this.#states.get(pod.metadata?.uid ?? "");
      if (state) state.seen = "";
      state?.retries.hurry();
      this.look(pod);
    }
  }

  #scheduleRetry(pod: V1Pod, state: PodState): void {
    clearTimeout(state.timer);
    const waitMs = state.retries.nextMs();
    if (waitMs === Infinity || this.#signal.aborted) return;
    state.timer = setTimeout(() => this.look(pod), Math.max(leastMs, waitMs));
  }
}
