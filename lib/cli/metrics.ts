/** `genie metrics`: the metrics of this node, printed once. */
import { CallCounters } from "../agent/metrics/call-counters.ts";
import { metricsText } from "../agent/metrics/metrics.ts";
import { requireOwnDirectory } from "../linux/own-files.ts";
import type { Command } from "./command/command.ts";
import { directoriesOf, nodeOptions } from "./node/directories.ts";
import { contextOf } from "./node/node-context.ts";

export const metrics: Command = {
  about: `In Prometheus' text format, from the records, host-local's directory and calls.log, which exists
while \`genie agent\` runs with --metrics, --textfile or --events. Changes nothing.`,
  options: nodeOptions,
  async run(input, { env, stdout }) {
    const { host } = directoriesOf(input);
    const context = contextOf(input, env);
    const { dataDir } = context.config;
    // Its error names the directory; that of a file in it would not.
    requireOwnDirectory(`${dataDir}/attachments`);
    const counters = new CallCounters(dataDir);
    await stdout(
      await metricsText(context, counters, (path) => host.path(path)),
    );
    return 0;
  },
};
