/**
 * A node with an API server, and the commands `genie attach` and `genie detach` as an
 * operator types them there: the node's configuration is in a file.
 */
import { genieBinary } from "./build.ts";
import type { Cluster } from "./cluster.ts";
import { type Pod, directoryOptions } from "./node.ts";
import { type Output, run } from "./runtime.ts";

/** Writes the node's configuration of genie where the commands look for it. */
export function configure(
  cluster: Cluster,
  config: Record<string, unknown> = {},
): void {
  const { node } = cluster;
  const options = cluster.options({ config }).config;
  node.network("00-genie.conflist", {
    cniVersion: "1.0.0",
    name: "genie-net",
    plugins: [node.config(options)],
  });
}

/** Does not block this process, which is the API server too. */
export function hot(
  { node }: Cluster,
  command: "attach" | "detach",
  ...words: string[]
): Promise<Output> {
  return run([genieBinary(), command, ...directoryOptions(node), ...words], {
    env: { PATH: process.env["PATH"] ?? "" },
  });
}

/** The command must succeed; its JSON. Throws Error with its output. */
export async function changed(
  cluster: Cluster,
  command: "attach" | "detach",
  ...words: string[]
): Promise<Record<string, unknown>> {
  const output = await hot(cluster, command, "-o", "json", ...words);
  if (output.exitCode === 0)
    return JSON.parse(output.stdout) as Record<string, unknown>;
  throw new Error(`${command} ${words.join(" ")}: ${output.stderr}`);
}

/** Each attachment of the record, and whether it has a result. */
export function recorded({ node }: Cluster, pod: Pod) {
  const { results } = node.results(pod);
  const { attachments } = node.record(pod) as {
    attachments: { ifname: string; element?: object; origin?: string }[];
  };
  return attachments.map(({ ifname, element, origin }) => ({
    ifname,
    ...(element && { element }),
    ...(origin !== undefined && { origin }),
    hasResult: results.some((one) => one.ifname === ifname && one.result),
  }));
}
