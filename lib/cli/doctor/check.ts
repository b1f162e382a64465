/** A check of `genie doctor`: its input, the node, and its outcome, a line of the table. */
import type { Context } from "../../attach/context.ts";
import { type ConfFile, readConfDir } from "../../cni/confdir.ts";
import {
  type GenieConfig,
  readConfig,
  readConfigForCleanup,
} from "../../select/config.ts";
import type { Networks } from "../../select/node-networks.ts";
import type { Terminal } from "../command/terminal.ts";
import { networksIn } from "../install/default-network.ts";
import { attempt, problemOf } from "../node/attempt.ts";
import type { Directories } from "../node/directories.ts";
import type { Host } from "../node/host.ts";
import { type OwnNetwork, findOwn, nodeContext } from "../node/node-context.ts";

export type Check = (
  node: Node,
) => Outcome | Outcome[] | Promise<Outcome | Outcome[]>;

/** The node, read once for all checks. */
export interface Node {
  host: Host;
  directories: Directories;
  terminal: Pick<Terminal, "env" | "self" | "now">;
  files: readonly ConfFile[];
  networks: Networks;
  /** The file that executes genie. */
  ours: OwnNetwork | undefined;
  /**
   * Absent if there is none. A wrong value is replaced by its default;
   * `configProblem` names it.
   */
  config: GenieConfig | undefined;
  configProblem: string | undefined;
  /** Absent if the directory of records is unknown. */
  context: Context | undefined;
  /** Directories of plugins, paths of the node. */
  path: readonly string[];
  /** The same as paths of this process. */
  searched: readonly string[];
}

/** Throws 5 when the directory of networks cannot be read. */
export function readNode(
  directories: Directories,
  terminal: Node["terminal"],
): Node {
  const { host, confDir, binDir } = directories;
  const files = readConfDir(host.path(confDir));
  const ours = findOwn(files);
  const config = ours && readConfigForCleanup(ours.plugin, () => {});
  const path = [binDir, ...(config?.binDirs ?? [])];
  return {
    host,
    directories,
    terminal,
    files,
    networks: networksIn(ours?.plugin ?? {}, { confDir, files }, host),
    ours,
    config,
    configProblem: ours && problemOf(() => readConfig(ours.plugin)),
    // An unreadable file of ours is a finding of another check.
    context: attempt(() => nodeContext(directories, terminal.env)),
    path,
    searched: path.map((directory) => host.path(directory)),
  };
}

/** "skip": it does not apply here, or cannot be known. */
export type Verdict = "ok" | "warn" | "fail" | "skip";

export interface Outcome {
  /** Absent: the name of the check in the table. */
  check?: string;
  verdict: Verdict;
  found: string;
  /** If something has to be done. */
  advice?: string;
}

export interface Finding extends Outcome {
  check: string;
}

export function ok(found: string): Outcome {
  return { verdict: "ok", found };
}

export function skip(found: string): Outcome {
  return { verdict: "skip", found };
}

export function warn(found: string, advice: string): Outcome {
  return { verdict: "warn", found, advice };
}

export function fail(found: string, advice: string): Outcome {
  return { verdict: "fail", found, advice };
}

/** An outcome under another name than that of its check in the table. */
export function named(check: string, outcome: Outcome): Finding {
  return { check, ...outcome };
}
