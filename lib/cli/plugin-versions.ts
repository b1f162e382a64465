/**
 * Asks a plugin which versions it speaks, as the node itself would execute it.
 * Below another root that takes a process of its own: it changes its root, and
 * then the loader and the libraries are the node's.
 */
import { openSync, readSync, closeSync } from "node:fs";
import { dirname } from "node:path";
import { Deadline } from "../linux/deadline.ts";
import { CniError, Code } from "../cni/error.ts";
import { messageOf } from "../linux/errno.ts";
import { quote } from "../linux/text.ts";
import { execDelegate } from "../linux/exec.ts";
import {
  type Caller,
  findPlugin,
  invoke,
  withoutContainer,
} from "../cni/invoke.ts";
import { own, parseJson } from "../cni/json.ts";
import { latestVersion } from "../cni/version.ts";
import type { Command } from "./command.ts";
import { rootOption } from "./directories.ts";
import type { Host } from "./host.ts";
import type { Terminal } from "./terminal.ts";

/** Milliseconds. A cold disk takes a second for a large executable. */
const limitMs = 20_000;

/** What is executed: of the node, the first directory that has it. */
export interface Asked {
  type: string;
  directories: readonly string[];
}

/** Throws CniError naming the loader or the library that the node lacks. */
export async function versionsOf(
  asked: Asked,
  host: Host,
  { env, self }: Pick<Terminal, "env" | "self">,
): Promise<readonly string[]> {
  const directories = asked.directories.map((directory) =>
    host.path(directory),
  );
  const path = findPlugin(asked.type, directories);
  requireLoader(path, host);
  if (host.isOurs) return ask(asked, env);
  const directory =
    asked.directories[directories.indexOf(dirname(path))] ?? "/";
  const child = Bun.spawn({
    cmd: [
      self,
      "plugin-versions",
      "--root",
      host.root,
      "--directory",
      directory,
      asked.type,
    ],
    env: { ...env },
    // No /dev/null is needed: below the other root there may be none.
    stdin: new Blob([]),
    stdout: "pipe",
    stderr: "pipe",
    timeout: limitMs,
    killSignal: "SIGKILL",
  });
  const [stdout, stderr] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  if (child.exitCode === 0) return versions(parseJson(stdout), asked.type);
  throw new CniError(
    Code.invalidNetworkConfig,
    stderr.trim().replace(/^genie plugin-versions: /, "") ||
      `failed to execute plugin ${quote(asked.type)} below ${host.root}`,
  );
}

export const pluginVersions: Command = {
  operand: { name: "TYPE" },
  options: {
    ...rootOption,
    directory: {
      value: "DIR",
      path: "directory",
      about: "where the plugin is",
    },
  },
  async run(input, { env, stdout }) {
    const type = input.operand ?? "";
    const directories = [input.path("directory") ?? "/"];
    const root = input.path("root");
    if (root !== undefined) {
      const { changeRoot } = await import("./chroot.ts");
      changeRoot(root);
    }
    const supportedVersions = await ask({ type, directories }, env);
    await stdout(`${JSON.stringify({ supportedVersions })}\n`);
    return 0;
  },
};

async function ask(
  { type, directories }: Asked,
  env: Terminal["env"],
): Promise<readonly string[]> {
  const caller: Caller = {
    exec: execDelegate,
    env,
    inherit: [],
    timeoutMs: limitMs,
    // What a plugin says beside its answer is nobody's question here.
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
    (answer) => versions(answer, type),
  );
  return supported ?? [];
}

/** Before spec 0.2.0 there was no VERSION: such an answer is that of 0.1.0 (CNI spec 1.1.0 §VERSION). */
function versions(answer: unknown, type: string): readonly string[] {
  const supported = own(answer, "supportedVersions");
  if (
    Array.isArray(supported) &&
    supported.every((entry) => typeof entry === "string")
  )
    return supported;
  throw new CniError(
    Code.internal,
    `plugin ${quote(type)} does not say which versions it supports`,
  );
}

/** "no such file" of a program that is there means its loader: say which. */
function requireLoader(path: string, host: Host): void {
  const loader = loaderOf(path);
  if (loader === undefined) return;
  try {
    closeSync(openSync(host.path(loader), "r"));
  } catch (cause) {
    throw new CniError(
      Code.invalidNetworkConfig,
      `failed to execute ${path}: the node has no loader ${quote(loader)}: is this the build for its C library and machine?`,
      { cause },
    );
  }
}

/** Bytes of the file in which headers and loader stand. */
const headBytes = 64 << 10;
const PT_INTERP = 3;

/** The program interpreter of a 64-bit little-endian ELF file; undefined for a static one, and for what is none. */
function loaderOf(path: string): string | undefined {
  const head = Buffer.alloc(headBytes);
  const fd = openSync(path, "r");
  try {
    readSync(fd, head, 0, headBytes, 0);
  } catch (error) {
    throw new Error(`failed to read ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  } finally {
    closeSync(fd);
  }
  const isElf64 = head.readUInt32BE(0) === 0x7f454c46 && head[4] === 2;
  if (!isElf64 || head[5] !== 1) return undefined;
  const table = Number(head.readBigUInt64LE(32));
  const size = head.readUInt16LE(54);
  const count = head.readUInt16LE(56);
  for (let i = 0; i < count; i++) {
    const entry = table + i * size;
    if (entry + 56 > headBytes) return undefined;
    if (head.readUInt32LE(entry) !== PT_INTERP) continue;
    const offset = Number(head.readBigUInt64LE(entry + 8));
    const length = Number(head.readBigUInt64LE(entry + 32));
    return head.subarray(offset, offset + length - 1).toString();
  }
  return undefined;
}
