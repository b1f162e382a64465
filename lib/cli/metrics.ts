/** `genie metrics`: the metrics of this node, printed once. */
import { CallCounters } from "../agent/metrics/call-counters.ts";
import { metricsText } from "../agent/metrics/metrics.ts";
import type { Command } from "./command/command.ts";
import { directoriesOf, nodeOptions } from "./node/node-options.ts";
import { contextOf } from "./node/node-context.ts";

export const metrics: Command = {
  about: `In Prometheus' text format, from the records, host-local's directory and calls.log, which exists
while \`genie agent\` runs with --metrics, --textfile or --events. Changes nothing.`,
  options: nodeOptions,
  async run(input, { env, stdout }) {
    const { host } = directoriesOf(input);
    const context = contextOf(input, env);
    const counters = new CallCounters(context.config.dataDir);
    await stdout(
      await metricsText(context, counters, (path) => host.path(path)),
    );
    return 0;
  },
};
