/**
 * Asks a plugin for its versions, as the node would execute it. Below another root
 * this takes a process that changes its root, so loader and libraries are the
 * node's.
 */
import { closeSync, openSync } from "node:fs";
import { dirname } from "node:path";
import * as v from "valibot";
import { CniError, Code, invalidConfig } from "../../cni/error.ts";
import {
  type Caller,
  findPlugin,
  invoke,
  withoutContainer,
} from "../../cni/invoke.ts";
import { object, parse } from "../../cni/schema.ts";
import { latestVersion } from "../../cni/version.ts";
import { Deadline } from "../../linux/deadline.ts";
import { readElfHeader } from "../../linux/elf.ts";
import { execDelegate } from "../../linux/exec.ts";
import { quote } from "../../linux/text.ts";
import type { Command } from "../command/command.ts";
import { optionsOf } from "../command/options.ts";
import type { Terminal } from "../command/terminal.ts";
import { changeRoot, runBelowRoot } from "./below-root.ts";
import { nodeOptions } from "./directories.ts";
import type { Host } from "./host.ts";

/** Milliseconds. A cold disk takes a second for a large executable. */
const limitMs = 20_000;

/** The executable: the node's, of the first directory that has it. */
interface PluginQuery {
  type: string;
  directories: readonly string[];
}

/** Throws CniError naming the loader or the library that the node lacks. */
export async function versionsOf(
  asked: PluginQuery,
  host: Host,
  terminal: Pick<Terminal, "env" | "self">,
): Promise<readonly string[]> {
  const directories = asked.directories.map((directory) =>
    host.path(directory),
  );
  const path = findPlugin(asked.type, directories);
  await requireLoader(path, host);
  if (host.isOwnRoot) return ask(asked, terminal.env);
  const directory =
    asked.directories[directories.indexOf(dirname(path))] ?? "/";
  const words = [
    "plugin-versions",
    `--directory=${directory}`,
    asked.type,
  ] as const;
  const { supportedVersions } = await runBelowRoot(
    host,
    words,
    versionResponse,
    terminal,
    limitMs,
  );
  return supportedVersions;
}

export const pluginVersions: Command = {
  operand: { name: "TYPE" },
  options: {
    root: nodeOptions.root,
    ...optionsOf({
      "--directory DIR": "where the plugin is",
    }),
  },
  async run(input, { env, stdout }) {
    const type = input.operand ?? "";
    const directories = [input.path("directory") ?? "/"];
    changeRoot(input.path("root"));
    const supportedVersions = await ask({ type, directories }, env);
    await stdout(`${JSON.stringify({ supportedVersions })}\n`);
    return 0;
  },
};

async function ask(
  { type, directories }: PluginQuery,
  env: Terminal["env"],
): Promise<readonly string[]> {
  const caller: Caller = {
    exec: execDelegate,
    env,
    inherit: [],
    timeoutMs: limitMs,
    // The plugin's stderr is not relevant here.
    stderr: () => {},
    sleep: Bun.sleep,
  };
  const supported = await invoke(
    {
      verb: "VERSION",
      type,
      config: JSON.stringify({ cniVersion: latestVersion }),
      runtime: withoutContainer(directories),
      deadline: new Deadline(limitMs),
    },
    caller,
    versions,
  );
  return supported ?? [];
}

const versionResponse = object({ supportedVersions: v.array(v.string()) });

/** VERSION exists since spec 0.2.0: an error response means 0.1.0 (CNI spec 1.1.0 §VERSION). */
function versions(response: unknown): readonly string[] {
  const { supportedVersions } = parse(
    versionResponse,
    response,
    (problem) => new CniError(Code.internal, `invalid response: ${problem}`),
  );
  return supportedVersions;
}

/** "no such file" for an existing program means its loader: the error names it. */
async function requireLoader(path: string, host: Host): Promise<void> {
  const loader = (await readElfHeader(path))?.interpreter;
  if (!loader) return;
  try {
    closeSync(openSync(host.path(loader), "r"));
  } catch (cause) {
    throw invalidConfig(
      `failed to execute ${path}: the node has no loader ${quote(loader)}: is this the build for its C library and machine?`,
      cause,
    );
  }
}
