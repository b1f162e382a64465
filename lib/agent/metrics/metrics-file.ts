/** `--textfile`: the metrics as a file for node-exporter's textfile collector. */
import { messageOf } from "../../linux/errno.ts";
import { agentMetricsText } from "./metrics.ts";
import { replaceFile } from "../../linux/files.ts";
import type { Part } from "../part.ts";
import { repeat } from "../timing.ts";

/** Milliseconds; Prometheus usually scrapes as often. */
const writeMs = 15_000;

/** `directory` of the node. */
export function metricsFile(directory: string): Part {
  return {
    name: "textfile",
    async run(agent, signal) {
      const { place } = agent;
      // The collector reads `*.prom` only, and is another user.
      const path = `${place(directory)}/genie.prom`;
      await repeat(writeMs, signal, async () => {
        agent.calls().keep();
        const text = await agentMetricsText(agent);
        try {
          replaceFile(path, text, 0o644);
        } catch (cause) {
          throw new Error(`failed to write "${path}": ${messageOf(cause)}`, {
            cause,
          });
        }
      });
    },
  };
}
