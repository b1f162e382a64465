/**
 * One pod whose networks follow its annotations: the difference, its steps by the
 * installed genie, and what is told of it (agent.md "Hot attach and detach").
 */
import type { V1Pod } from "@kubernetes/client-node";
import { readNetworks } from "../../attach/context.ts";
import { CniError } from "../../cni/error.ts";
import { messageOf } from "../../linux/errno.ts";
import { requestedNetwork, typedNames } from "../../select/addition.ts";
import { findNetwork } from "../../select/node-networks.ts";
import { recordDirectory } from "../../state/record-directory.ts";
import type { AttachmentRecord } from "../../state/record.ts";
import { type ChangeRequest, requestChange } from "./change-request.ts";
import {
  type DesiredNetworks,
  type WantedElement,
  desiredOf,
  isRunning,
  networkOf,
} from "./desired.ts";
import { type Difference, type Step, differenceOf } from "./difference.ts";
import { subjectOf } from "../report/event-writer.ts";
import { namespacedName } from "../watch/kinds.ts";
import type { Agent } from "../part.ts";
import { type IndexedRecord, RecordIndex } from "../record-index.ts";
import { type PodState, inputOf } from "./pod-state.ts";

export class PodSteps {
  readonly #agent: Agent;
  readonly #signal: AbortSignal;
  readonly #index: RecordIndex;

  constructor(agent: Agent, signal: AbortSignal) {
    this.#agent = agent;
    this.#signal = signal;
    this.#index = new RecordIndex(agent.context, (record, error) =>
      agent.log("warn", "left an unreadable record alone", {
        part: "attach",
        record,
        error: messageOf(error),
      }),
    );
  }

  /** One look, and the steps that are due; `state` says when the next look is. Never throws. */
  async reconcile(pod: V1Pod, state: PodState): Promise<void> {
    try {
      await this.#changeNetworks(pod, state);
    } catch (error) {
      this.#log("error", pod, "failed to compare a pod's networks", {
        error: messageOf(error),
      });
      state.retries.laterOnly(errorKey);
    }
  }

  async #changeNetworks(pod: V1Pod, state: PodState): Promise<void> {
    const { retries } = state;
    const indexed = isRunning(pod) ? await this.#index.newest(pod) : undefined;
    if (!indexed) return retries.keepOnly();
    if (!state.beginsLook(inputOf(pod, indexed))) return;
    const found = await this.#difference(pod, state, indexed);
    if (!found) return;
    const { difference, record } = found;
    this.#tellPrimary(pod, state, difference, record);
    const kept = difference.kept.filter(({ wanted }) => !wanted.isDefault);
    for (const { wanted, attachment } of kept)
      if (!this.#isResolvable(wanted))
        this.#tellUnresolved(pod, state, wanted, attachment.ifname);
    retries.keepOnly(...difference.steps.map(keyOf));
    for (const step of difference.steps) {
      if (this.#signal.aborted || !this.#isAsCompared(pod, indexed)) return;
      if (retries.isWaiting(keyOf(step))) continue;
      // A step that succeeds waits too: the next look must not repeat it at once.
      retries.later(keyOf(step));
      state.takeToken();
      if (await this.#execute(step, pod, state, indexed)) state.dueAfter(0);
    }
  }

  /**
   * undefined: its annotations are invalid, or its ADD or DEL is at work; nothing but the
   * end of the ADD is waited for.
   */
  async #difference(
    pod: V1Pod,
    state: PodState,
    indexed: IndexedRecord,
  ): Promise<{ difference: Difference; record: AttachmentRecord } | undefined> {
    const records = recordDirectory(this.#agent.context);
    const record = await this.#index.read(indexed);
    const isThere = record && !records.isDeleting(record);
    const stored = isThere && (await records.readResults(record));
    if (!stored) {
      state.retries.keepOnly();
      return undefined;
    }
    const { results } = stored;
    if (!results.has(record.ifname)) {
      // Its ADD is at work, or failed.
      state.retries.laterOnly(addKey);
      return undefined;
    }
    state.hasCompared(inputOf(pod, indexed));
    const desired = this.#desired(pod, state, record.ifname);
    if (!desired) {
      state.retries.keepOnly();
      return undefined;
    }
    const { context } = this.#agent;
    const difference = differenceOf(
      desired,
      record,
      (ifname) => results.has(ifname),
      typedNames(context.config, () => readNetworks(context)),
    );
    return { difference, record };
  }

  /** undefined, and an event, for annotations that an ADD would refuse. */
  #desired(
    pod: V1Pod,
    state: PodState,
    ifname: string,
  ): DesiredNetworks | undefined {
    const { annotations = {}, namespace = "" } = pod.metadata ?? {};
    try {
      return desiredOf(annotations, namespace, ifname);
    } catch (error) {
      if (!(error instanceof CniError)) throw error;
      this.#tell(pod, state, "InvalidNetworks", error.message);
      return undefined;
    }
  }

  /** Whether it succeeded. */
  async #execute(
    { detach, attach }: Step,
    pod: V1Pod,
    state: PodState,
    { containerId, ifname }: IndexedRecord,
  ): Promise<boolean> {
    if (attach && !this.#isResolvable(attach.wanted) && detach) {
      // Otherwise the pod would lose what it has.
      this.#tellUnresolved(pod, state, attach.wanted, detach.ifname);
      return false;
    }
    const target = { containerId, ifname };
    if (detach) {
      const request = {
        verb: "detach",
        interface: detach.ifname,
        ...target,
      } as const;
      const network = requestedNetwork(detach);
      if (!(await this.#change(pod, request, network))) return false;
    }
    if (!attach) return true;
    const request = {
      verb: "attach",
      network: attach.wanted.text,
      interface: attach.ifname,
      ...target,
    } as const;
    return this.#change(pod, request, networkOf(attach.wanted.element));
  }

  /** Executes the installed genie; an event tells of a failure. */
  async #change(
    pod: V1Pod,
    request: ChangeRequest & { interface: string },
    network: string,
  ): Promise<boolean> {
    const { verb, interface: ifname } = request;
    const {
      outcome,
      ips,
      why = "",
    } = await requestChange(this.#agent, request);
    const fields = { network, ifname };
    if (outcome === "left alone") {
      this.#log("info", pod, "left a pod's networks alone", { ...fields, why });
      return false;
    }
    if (outcome !== "failed") {
      this.#log("info", pod, outcome, { ...fields, ips });
      return true;
    }
    this.#log("error", pod, `failed to ${verb} a network`, {
      ...fields,
      error: why,
    });
    const reason =
      verb === "attach" ? "FailedAddingInterface" : "FailedRemovingInterface";
    const message = `${ifname} (${network}): ${why}`;
    this.#agent.event(subjectOf(pod), "Warning", reason, message);
    return false;
  }

  #tellPrimary(
    pod: V1Pod,
    state: PodState,
    { isPrimaryOther }: Difference,
    { attachments, ifname }: AttachmentRecord,
  ): void {
    const primary = attachments.find((one) => one.ifname === ifname);
    if (!isPrimaryOther || !primary) return;
    const network = requestedNetwork(primary);
    const message = `the annotations name another network for ${ifname}: a running pod keeps ${network}`;
    this.#tell(pod, state, "PrimaryNetworkUnchanged", message);
  }

  #tellUnresolved(
    pod: V1Pod,
    state: PodState,
    wanted: WantedElement,
    ifname: string,
  ): void {
    const message = `network ${networkOf(wanted.element)} of ${ifname} is not on this node any more: the attachment stays as it is`;
    this.#tell(pod, state, "NetworkNotFound", message);
  }

  #tell(pod: V1Pod, state: PodState, reason: string, message: string): void {
    if (!state.isNews(reason, message)) return;
    this.#log("warn", pod, message, { reason });
    this.#agent.event(subjectOf(pod), "Warning", reason, message);
  }

  /**
   * Whether the pod still runs with the annotations that were compared: a step before this
   * one may have taken long. Its event made the pod due again.
   */
  #isAsCompared(pod: V1Pod, indexed: IndexedRecord): boolean {
    const { name = "", namespace } = pod.metadata ?? {};
    const now = this.#agent.pods().get(name, namespace);
    return (
      now !== undefined &&
      now.metadata?.uid === pod.metadata?.uid &&
      isRunning(now) &&
      inputOf(now, indexed) === inputOf(pod, indexed)
    );
  }

  /** Whether the node still has the network; true if that is unknown. */
  #isResolvable({ element: { network, namespace } }: WantedElement): boolean {
    if (namespace === undefined)
      return (
        network === "default" ||
        findNetwork(readNetworks(this.#agent.context), network) !== undefined
      );
    const definitions = this.#agent.definitions();
    if (definitions.state() !== "current") return true;
    return definitions.get(network, namespace) !== undefined;
  }

  #log(
    level: "info" | "warn" | "error",
    pod: V1Pod,
    message: string,
    fields: Record<string, unknown>,
  ): void {
    const name = namespacedName(pod.metadata ?? {});
    this.#agent.log(level, message, { part: "attach", pod: name, ...fields });
  }
}

/** The keys of retries of no step: after an ADD at work, and after an error of our own. */
const addKey = "ADD";
const errorKey = "error";

function keyOf({ detach, attach }: Step): string {
  return JSON.stringify([
    detach?.ifname,
    attach?.ifname,
    attach?.wanted.element,
  ]);
}
