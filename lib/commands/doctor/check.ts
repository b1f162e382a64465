/**
 * What a check of `genie doctor` is given and what it says.
 */
import { type ConfFile, readConfDir } from "../../cni/confdir.ts";
import { messageOf } from "../../cni/error.ts";
import type { Operation } from "../../attach/operation.ts";
import { type GenieConfig, readConfig } from "../../select/config.ts";
import { type Networks, networksOf } from "../../select/resolve.ts";
import type { Folders } from "../folders.ts";
import type { Host } from "../host.ts";
import { type OwnNetwork, findOwn, nodeOperation, ownType } from "../node.ts";
import type { Terminal } from "../terminal.ts";

/** "skip": it does not apply here, or cannot be known. */
export type Verdict = "ok" | "warn" | "fail" | "skip";

export interface Finding {
  check: string;
  verdict: Verdict;
  /** What was found. */
  found: string;
  /** What to do, where something is to be done. */
  advice?: string;
}

export type Check = (node: Node) => Finding[] | Promise<Finding[]>;

/** The node as all checks see it, read once. */
export interface Node {
  host: Host;
  folders: Folders;
  terminal: Pick<Terminal, "env" | "self" | "now">;
  files: readonly ConfFile[];
  networks: Networks;
  /** The file that executes genie. */
  own: OwnNetwork | undefined;
  /** Absent when there is none, or it is invalid: then `configProblem` says why. */
  config: GenieConfig | undefined;
  configProblem: string | undefined;
  /** Absent as `config`. */
  operation: Operation | undefined;
  /** Where plugins are, paths of the node. */
  path: readonly string[];
}

/** Throws 5 when the folder of networks cannot be read. */
export function readNode(
  folders: Folders,
  host: Host,
  terminal: Node["terminal"],
): Node {
  const { confDir, binDir } = folders;
  const files = readConfDir(host.path(confDir));
  const own = findOwn(files);
  const { config, problem } = validated(own);
  return {
    host,
    folders,
    terminal,
    files,
    networks: networksOf(confDir, files, [ownType]),
    own,
    config,
    configProblem: problem,
    operation: problem
      ? undefined
      : nodeOperation(folders, terminal.env, { host }),
    path: [binDir, ...(config?.binDirs ?? [])],
  };
}

function validated(own: OwnNetwork | undefined): {
  config: GenieConfig | undefined;
  problem: string | undefined;
} {
  try {
    return {
      config: own && readConfig(own.plugin),
      problem: undefined,
    };
  } catch (error) {
    return { config: undefined, problem: messageOf(error) };
  }
}
