/**
 * `--taint`: a node takes no pods before its networks are ready (agent.md "Taint and
 * labels"). Nodes join with the taint (`kubelet --register-with-taints`); the agent removes
 * it, and sets it again when STATUS fails for a minute.
 */
import type { V1Taint } from "@kubernetes/client-node";
import { monotonicMs } from "../../linux/deadline.ts";
import { nodeSubject } from "../report/event-writer.ts";
import { patchNode, getNode } from "./node-object.ts";
import type { Agent, Part } from "../part.ts";
import { pause } from "../timing.ts";

const key = "genie/not-ready";

/** Milliseconds. */
const limits = {
  /** Between two looks at a node that is ready. */
  ready: 10_000,
  /** Between two looks at a node that is not. */
  unready: 2000,
  /** Of failures, until the taint is set. */
  failing: 60_000,
  /** Until the node is read again: somebody else may change its taints. */
  again: 60_000,
};

/** `clock`: milliseconds. */
export function taintPart(clock: () => number = monotonicMs): Part {
  // It outlives a run that fails: a conflict must not begin the minute again.
  const judge = new ReadinessJudge();
  return {
    name: "taint",
    async run(agent, signal) {
      let done: boolean | undefined;
      let doneMs = -Infinity;
      while (!signal.aborted) {
        const { problem } = await agent.nodeState();
        const now = clock();
        const isReady = judge.isReady(problem, now);
        const isOld = now - doneMs > limits.again;
        if (isReady !== undefined && (isReady !== done || isOld)) {
          await apply(isReady, problem, agent);
          done = isReady;
          doneMs = now;
        }
        const isGood = problem === undefined;
        await pause(isGood ? limits.ready : limits.unready, signal);
      }
    },
  };
}

/** When a node is ready; undefined: as before. */
export class ReadinessJudge {
  #failingMs: number | undefined;

  isReady(problem: string | undefined, nowMs: number): boolean | undefined {
    if (problem === undefined) {
      this.#failingMs = undefined;
      return true;
    }
    this.#failingMs ??= nowMs;
    return nowMs - this.#failingMs >= limits.failing ? false : undefined;
  }
}

async function apply(
  isReady: boolean,
  problem: string | undefined,
  agent: Agent,
): Promise<void> {
  const { taints, resourceVersion } = await getNode(agent);
  const wanted = wantedTaints(taints, isReady);
  if (!wanted) return;
  // Taints are replaced as a whole: one that another sets meanwhile must not be lost.
  await patchNode(agent, {
    metadata: { resourceVersion },
    spec: { taints: wanted },
  });
  const subject = nodeSubject(agent.node);
  if (isReady) {
    agent.log("info", `removed the taint ${key}`);
    agent.event(subject, "Normal", "NetworksReady", "The networks are ready");
  } else {
    agent.log("warn", `set the taint ${key}`, { problem });
    const message = `STATUS failed for a minute: ${problem}`;
    agent.event(subject, "Warning", "NetworksNotReady", message);
  }
}

/** undefined: as they are. */
export function wantedTaints(
  taints: readonly V1Taint[],
  isReady: boolean,
): V1Taint[] | undefined {
  const others = taints.filter((one) => one.key !== key);
  if (isReady) return others.length === taints.length ? undefined : others;
  const isSet = taints.some(
    (one) => one.key === key && one.effect === "NoSchedule",
  );
  return isSet ? undefined : [...others, { key, effect: "NoSchedule" }];
}
