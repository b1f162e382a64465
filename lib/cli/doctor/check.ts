/** A check of `genie doctor`, and what it gets: the node. */
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
import type { Outcome } from "./outcome.ts";

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
