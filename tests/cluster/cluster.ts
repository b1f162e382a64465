/**
 * The whole of it for real: etcd, API server, controller manager, scheduler,
 * kubelet, containerd, runc, flannel, and genie as an operator installs it.
 * `cluster.ts [--report FILE] [--logs FOLDER] [--long]`; the last line counts, the exit code is 0 when
 * every check passed. It needs root, Linux and the Go compiler.
 */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { genieBinary } from "../support/build.ts";
import { findParts } from "./parts.ts";
import { insideDirectory, runInside } from "./private.ts";
import { runSuite } from "./suite.ts";

/** CI allows the whole of it 25 minutes, which includes the build. */
const limitSeconds = 15 * 60;

const { values: options } = parseArgs({
  options: {
    report: { type: "string" },
    logs: { type: "string" },
    /** Checks take the time that an operator would wait. */
    long: { type: "boolean", default: false },
  },
});

const directory = insideDirectory();
process.exit(
  directory === undefined
    ? await outside()
    : await runSuite(await findParts(say), directory),
);

/** Installs and compiles where the caches are. */
async function outside(): Promise<number> {
  if (process.geteuid?.() !== 0) {
    console.error("the cluster needs root");
    return 1;
  }
  await findParts(say);
  const { report, logs, long } = options;
  const env = {
    GENIE_BINARY: genieBinary(),
    ...(report !== undefined && { GENIE_CLUSTER_REPORT: resolve(report) }),
    ...(long && { GENIE_CLUSTER_LONG: "1" }),
    ...(logs !== undefined && { GENIE_CLUSTER_LOGS: resolve(logs) }),
  };
  return runInside(import.meta.path, env, limitSeconds);
}

function say(text: string): void {
  console.error(text);
}
