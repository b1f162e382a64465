/**
 * Repeats a command's work until SIGTERM, as the main process of a DaemonSet's pod. An
 * error is printed once and the round is repeated: nothing that a node lacks today
 * (its first network, a kubeconfig) ends the process. {@link health} is the pod's
 * probe: the last round's problem is in a file, which is as old as that round.
 */
import { statSync, writeFileSync } from "node:fs";
import { messageOf } from "../../linux/errno.ts";
import { readTextIfAny } from "../node/read-file.ts";
import type { Command } from "./command.ts";
import type { Input } from "./input.ts";
import { optionsOf } from "./options.ts";
import type { Terminal } from "./terminal.ts";

export const watchOptions = optionsOf({
  "--watch": "repeat until the process is stopped",
  "--interval SECONDS": "time between two rounds of --watch (default 10)",
  "--health FILE": "write each round's problem to this file, for probes",
});

export interface Watch {
  intervalMs: number;
  /** The file for {@link health}. */
  health: string | undefined;
  /** A problem that the round before did not have; `isWaiting` until the first success. */
  failed(problem: string, isWaiting: boolean): void;
  /** After each round; "" without a problem. */
  ended?(problem: string): void;
  /** Resolves early when the process must end. */
  sleep(ms: number): Promise<void>;
  stopped(): boolean;
}

/** {@link watchOptions} of a command, which prefixes its messages. Throws UsageError. */
export function watchOf(
  command: string,
  input: Input,
  { sleep, stopped, stderr }: Terminal,
): Watch {
  const intervalMs = input.seconds("interval", 10) * 1000;
  for (const option of ["interval", "health"]) input.need(option, "watch");
  return {
    intervalMs,
    health: input.path("health"),
    failed: (problem, isWaiting) =>
      stderr(`genie ${command}: ${isWaiting ? "waiting: " : ""}${problem}\n`),
    sleep,
    stopped,
  };
}

/** Until the first success, a condition of the node is polled. */
const waitingMs = 2000;

/** An error of `round` is the problem of this round. */
export async function watch(
  round: () => Promise<void>,
  { intervalMs, health, failed, ended, sleep, stopped }: Watch,
): Promise<void> {
  let reported = "";
  let hasSucceeded = false;
  do {
    let problem = "";
    try {
      await round();
      hasSucceeded = true;
    } catch (error) {
      problem = messageOf(error);
      if (problem !== reported) failed(problem, !hasSucceeded);
    }
    reported = problem;
    if (health !== undefined) writeFileSync(health, problem);
    ended?.(problem);
    await sleep(hasSucceeded ? intervalMs : Math.min(intervalMs, waitingMs));
  } while (!stopped());
}

export const health: Command = {
  operand: { name: "FILE" },
  options: optionsOf({
    "--ready": "fail also if the last round had a problem",
    "--age SECONDS": "age of a stalled process (default 180)",
  }),
  async run(input, { stderr, now }) {
    const file = input.operand ?? "";
    const limit = input.seconds("age", 180);
    const status = statSync(file, { throwIfNoEntry: false });
    if (!status) throw new Error("the first round has not ended");
    const seconds = (now().getTime() - status.mtimeMs) / 1000;
    if (seconds > limit)
      throw new Error(`the last round ended ${Math.round(seconds)} s ago`);
    const problem = readTextIfAny(file) ?? "";
    if (!input.flag("ready") || problem === "") return 0;
    stderr(`${problem}\n`);
    return 1;
  },
};
