/**
 * `genie agent`: the long-running process beside the plugin (agent.md). It has no work of
 * its own: it reads the switches, opens the credential and runs the parts.
 */
import { join } from "node:path";
import { createAgent, lineOf, runParts } from "../agent/agent.ts";
import { removeSynced } from "../agent/definition-cache.ts";
import { type HostGenie, whyNoHost } from "../agent/host-genie.ts";
import { removeCallsLog } from "../agent/metrics/call-counters.ts";
import type { Agent, Part } from "../agent/part.ts";
import { parts } from "../agent/parts.ts";
import { aborted, shared } from "../agent/timing.ts";
import { dueStatuses } from "../agent/report/status.ts";
import { messageOf } from "../linux/errno.ts";
import { logs } from "../state/log-level.ts";
import { chosenParts, partOptions } from "./agent/agent-switches.ts";
import { installPart } from "./agent/install-part.ts";
import { NodeConfiguration } from "./agent/node-configuration.ts";
import { hostState } from "./agent/node-state.ts";
import type { Command } from "./command/command.ts";
import type { Input } from "./command/input.ts";
import { type Options, optionsOf } from "./command/options.ts";
import type { Terminal } from "./command/terminal.ts";
import { watchOptions } from "./command/watch.ts";
import { installOptions } from "./install.ts";
import { credentialOptions } from "./install/credential-options.ts";
import {
  type Directories,
  ownType,
  directoriesOf,
  directoryArgs,
  nodeOptions,
} from "./node/directories.ts";
import { apiOptions, openNodeApi } from "./node/node-api.ts";
import { apiNodeName } from "./node/node-name.ts";

/** Options of the part that installs. */
const installingOptions = {
  ...installOptions,
  "service-account": credentialOptions["service-account"],
  health: watchOptions.health,
} as const satisfies Options;

export const agent: Command = {
  about: `Pods never depend on it: ADD, DEL, CHECK and GC work without it. It keeps genie installed as
\`genie install --watch\` does, and runs the parts that are switched on. What each needs:

${[...parts].map(([name, { needs }]) => `  --${name}: ${needs}`).join("\n")}`,
  options: {
    ...partOptions,
    ...optionsOf({
      "--no-install": "do not install genie or keep it installed",
    }),
    ...installingOptions,
    ...apiOptions,
    ...nodeOptions,
  },
  async run(input, terminal) {
    for (const option of Object.keys(installingOptions))
      input.exclude(option, "no-install");
    const controller = new AbortController();
    const { signal } = controller;
    void stopped(terminal).then(() => controller.abort());
    const log = logger(terminal, "info");
    const switches = chosenParts(input);
    const genie = hostGenie(directoriesOf(input));
    const chosen = [dueStatuses, ...(await loadParts(switches, genie, log))];
    if (!input.flag("no-install")) {
      // The first round may wait for another installer.
      const part = await Promise.race([
        installPart(input, terminal, log, signal),
        aborted(signal).then(() => undefined),
      ]);
      if (!part) return 0;
      chosen.push(part);
    }
    const running = openAgent(input, terminal, chosen, signal);
    removeUnused(switches, running.context.config.dataDir, running.log);
    running.log("info", "the agent starts", {
      version: terminal.version,
      node: running.node,
      parts: chosen.map(({ name }) => name),
    });
    await runParts(chosen, running, signal);
    running.log("info", "the agent ends");
    return 0;
  },
};

function openAgent(
  input: Input,
  terminal: Terminal,
  chosen: readonly Part[],
  signal: AbortSignal,
): Agent {
  const { env } = terminal;
  const directories = directoriesOf(input);
  const log = logger(terminal, "info");
  const configuration = new NodeConfiguration(directories, env, log);
  const agentOfNode: Agent = createAgent(
    {
      node: apiNodeName(input, env, configuration.context().config),
      context: () => configuration.context(),
      host: hostGenie(directories),
      directories: directoryArgs(directories),
      openApi: () => openNodeApi(input, env),
      place: (path) => directories.host.path(path),
      // Several parts need it at once.
      nodeState: shared(1000, () => hostState(directories, terminal)),
      synced: () => chosen.every(({ synced }) => synced?.(agentOfNode) ?? true),
      log: (...line) =>
        logger(terminal, configuration.context().config.logLevel)(...line),
    },
    signal,
  );
  return agentOfNode;
}

/** The parts that are switched on, without those that cannot execute the host's genie. */
async function loadParts(
  switches: ReadonlyMap<string, string>,
  genie: HostGenie,
  log: Agent["log"],
): Promise<Part[]> {
  const loaded: Part[] = [];
  for (const [name, value] of switches) {
    const entry = parts.get(name);
    if (!entry) continue;
    const why = entry.isPrivileged && whyNoHost(genie);
    if (why) log("warn", `--${name} is off: ${why}`);
    else loaded.push(await entry.load(value));
  }
  return loaded;
}

/**
 * Removes the files of parts that are off: ADD must neither rely on them nor write them.
 * A disk that cannot be written is no reason to end.
 */
function removeUnused(
  switches: ReadonlyMap<string, string>,
  dataDir: string,
  log: Agent["log"],
): void {
  try {
    if (!switches.has("cache")) removeSynced(dataDir);
    if (["events", "metrics", "textfile"].some((name) => switches.has(name)))
      return;
    removeCallsLog(dataDir);
  } catch (error) {
    log("warn", "failed to remove the files of parts that are off", {
      error: messageOf(error),
    });
  }
}

async function stopped({ sleep, stopped: isStopped }: Terminal) {
  while (!isStopped()) await sleep(3_600_000);
}

function logger(
  { stdout, now }: Pick<Terminal, "stdout" | "now">,
  configured: string,
): Agent["log"] {
  const level = logs(configured, "info") ? configured : "info";
  return (name, message, fields = {}) => {
    if (!logs(level, name)) return;
    // A log without a reader must not stop the agent.
    stdout(lineOf(name, message, fields, now())).catch(() => {});
  };
}

function hostGenie({ host: { root }, binDir }: Directories): HostGenie {
  return { path: join(binDir, ownType), root };
}
