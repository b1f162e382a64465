/** `--textfile`: the metrics as a file for node-exporter's textfile collector. */
import { isAbsolute } from "node:path";
import { agentMetricsText, sharedCounters } from "./metrics.ts";
import { replaceOwnFile } from "./own-file.ts";
import type { Part } from "./part.ts";
import { pause } from "./pause.ts";

/** Milliseconds; Prometheus usually scrapes as often. */
const writeMs = 15_000;

/** `directory` of the node. Throws Error. */
export function metricsFile(directory: string): Part {
  if (!isAbsolute(directory))
    throw new Error(
      `--textfile: expected an absolute path, got ${JSON.stringify(directory)}`,
    );
  return {
    name: "textfile",
    async run(agent, signal) {
      const { place } = agent;
      const counters = sharedCounters(agent);
      // The collector reads `*.prom` only, and is another user.
      const path = `${place(directory)}/genie.prom`;
      while (!signal.aborted) {
        counters.keep();
        const text = await agentMetricsText(agent);
        replaceOwnFile(path, text, 0o644);
        await pause(writeMs, signal);
      }
    },
  };
}
