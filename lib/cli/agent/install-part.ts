/** The part of the agent that keeps genie installed, as `genie install --watch` does. */
import type { Agent, Part } from "../../agent/part.ts";
import { pause } from "../../agent/timing.ts";
import type { Input } from "../command/input.ts";
import type { Terminal } from "../command/terminal.ts";
import { watch } from "../command/watch.ts";
import { installRounds, installationOf } from "../install.ts";
import { accountOf } from "../install/credential-options.ts";
import type { Step } from "../install/installation.ts";

/** Milliseconds between two rounds. */
const intervalMs = 10_000;

/** Resolves after the first round: the other parts read the configuration that it writes. */
export async function installPart(
  input: Input,
  terminal: Terminal,
  log: Agent["log"],
  signal: AbortSignal,
): Promise<Part> {
  const installation = installationOf(
    input,
    { account: accountOf(input) },
    terminal,
  );
  let isInstalled = false;
  const first = Promise.withResolvers<void>();
  const start = (): Promise<void> =>
    watch(installRounds(installation, reporter(log)), {
      intervalMs,
      health: input.path("health"),
      failed(error, isWaiting) {
        if (isWaiting) log("warn", `waiting: ${error}`);
        else log("error", "failed to install", { error });
      },
      ended(problem) {
        isInstalled = problem === "";
        first.resolve();
      },
      sleep: (ms) => pause(ms, signal),
      stopped: () => signal.aborted,
    });
  let started: Promise<void> | undefined = start();
  await Promise.race([first.promise, started]);
  return {
    name: "install",
    synced: () => isInstalled,
    run() {
      // Called again after a failure: the file of --health could not be written.
      const rounds = started ?? start();
      started = undefined;
      return rounds;
    },
  };
}

function reporter(log: Agent["log"]): (steps: readonly Step[]) => void {
  return (steps) => {
    for (const { outcome, text } of steps)
      log(outcome === "warning" ? "warn" : "info", text, { install: outcome });
  };
}
