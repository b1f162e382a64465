/**
 * The state of the node's networks for the agent, as the node's plugins see it: below
 * another root this takes a process that changes its root. The hidden command is that
 * process.
 */
import {
  type NodeState,
  nodeState,
  nodeStateSchema,
} from "../../agent/node/node-state.ts";
import type { Command } from "../command/command.ts";
import type { Terminal } from "../command/terminal.ts";
import type { Env } from "../../cni/environment.ts";
import { changeRoot, runBelowRoot } from "../node/below-root.ts";
import {
  type Directories,
  directoriesOf,
  directoryArgs,
  nodeOptions,
} from "../node/directories.ts";
import { Host } from "../node/host.ts";
import { nodeContext } from "../node/node-context.ts";

/** Milliseconds: every network has its own limit. */
const limitMs = 60_000;

/** Throws Error when the root cannot be changed. */
export function hostState(
  directories: Directories,
  terminal: Pick<Terminal, "env" | "self">,
): Promise<NodeState> {
  const { host } = directories;
  if (host.isOwnRoot) return ownState(directories, terminal.env);
  const words = ["node-state", ...directoryArgs(directories)] as const;
  return runBelowRoot(host, words, nodeStateSchema, terminal, limitMs);
}

function ownState(directories: Directories, env: Env): Promise<NodeState> {
  const request = { command: "STATUS" } as const;
  return nodeState(() => nodeContext(directories, env, { request }));
}

export const nodeStateCommand: Command = {
  options: nodeOptions,
  async run(input, { env, stdout }) {
    const directories = directoriesOf(input);
    changeRoot(input.path("root"));
    // The root of this process is the node's now.
    const state = await ownState({ ...directories, host: new Host() }, env);
    await stdout(`${JSON.stringify(state)}\n`);
    return 0;
  },
};
