/**
 * The rows of ADD beside `genie agent`: with its cache, with its cache and `--status`.
 * Each has a data directory of its own.
 */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { nodeName, wide } from "../cluster.ts";
import type { Unit } from "../step.ts";
import {
  type Plugin,
  type Surroundings,
  freshId,
  nameOf,
  pair,
  stepOf,
} from "./plugin.ts";

export const cachedAdd = "ADD, default + 3, runtime annotations, cache";
export const statusAdd = "ADD, default + 3, runtime annotations, cache, status";

/** Starts the agents. Rejects when one is not in sync within 30 seconds. */
export async function startAgents(
  genie: Plugin,
  around: Surroundings,
): Promise<{ units: Unit[] } & AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const { node, api } = around;
  const directory = (name: string): string => {
    const path = join(node.directory, name);
    mkdirSync(path, { mode: 0o700 });
    return path;
  };
  const units: Unit[] = [];
  for (const [call, name, parts, files] of [
    [cachedAdd, "cached", [], ["definitions/.synced"]],
    [
      statusAdd,
      "status",
      ["--status"],
      ["definitions/.synced", "status.synced"],
    ],
  ] as const) {
    const dataDir = directory(name);
    const child = Bun.spawn({
      cmd: [
        genie.binary,
        "agent",
        "--no-install",
        ...parts,
        `--node=${nodeName}`,
        `--kubeconfig=${api.agentKubeconfig}`,
        `--conf-dir=${node.confDir}`,
        `--bin-dir=${node.binDir}`,
        `--data-dir=${dataDir}`,
      ],
      stdio: [
        "ignore",
        Bun.file(join(node.directory, `${name}.log`)),
        "inherit",
      ],
    });
    stack.defer(async () => {
      child.kill();
      await child.exited;
    });
    const deadline = Date.now() + 30_000;
    while (!files.every((file) => existsSync(join(dataDir, file)))) {
      if (child.exitCode !== null || Date.now() > deadline)
        throw new Error(
          `the agent is not in sync: ${node.directory}/${name}.log`,
        );
      await Bun.sleep(50);
    }
    units.push(unitOf(genie, around, call, dataDir));
  }
  const owned = stack.move();
  return { units, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

function unitOf(
  genie: Plugin,
  { node, api }: Surroundings,
  call: string,
  dataDir: string,
): Unit {
  const kubernetes = { kubeconfig: api.kubeconfig(0) };
  const stdin = node.withAnnotations({ kubernetes, dataDir }, wide.annotations);
  return {
    steps: () =>
      pair({
        containerId: freshId(),
        stdin,
        pod: api.pods.wide,
      }).map((request) => stepOf(genie, node, request, nameOf(request, call))),
  };
}
