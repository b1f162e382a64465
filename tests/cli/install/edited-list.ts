/** For the tests of an edited configuration: its edits, and rounds of `install --watch`. */
import { expect } from "bun:test";
import { NodeDirectory } from "../fixtures.ts";

export const list = "etc/cni/net.d/00-genie.conflist";
export const istio = {
  type: "istio-cni",
  kubernetes: { excludeNamespaces: ["a"] },
};

export type Value = Record<string, unknown> & {
  plugins: Record<string, unknown>[];
};

export const config = (node: NodeDirectory) => node.config as Value;

/** The whole file as an operator would edit it. */
export function edit(
  node: NodeDirectory,
  change: (value: Value) => void,
): string {
  const value = config(node);
  change(value);
  return node.network(
    "00-genie.conflist",
    `${JSON.stringify(value, null, 4)}\n`,
  );
}

/** With the policies of an operator. */
export async function withPolicy(): Promise<NodeDirectory> {
  const node = new NodeDirectory();
  await node.type("install");
  edit(node, (value) => {
    Object.assign(value.plugins[0] ?? {}, policy);
    value.plugins.push(istio);
  });
  const { exitCode, stdout } = await node.type("install");
  expect({ exitCode, outcomes: outcomes(stdout) }).toEqual({
    exitCode: 0,
    outcomes: ["unchanged", "warning", "unchanged"],
  });
  return node;
}

export const policy = { allowedPlugins: ["ptp"], namespaceIsolation: true };

export const outcomes = (stdout: string) => [...(stdout.match(/^\w+/gm) ?? [])];

export const short = (node: NodeDirectory, text: string) =>
  text.replaceAll(node.root, "");

/** Runs `install --watch`: a round for each action, then it is asked to end. */
export async function watch(
  node: NodeDirectory,
  rounds: (() => void)[],
  words: string[] = [],
) {
  let round = 0;
  let stopped = false;
  const ended = await node.type("install", ["--watch", ...words], {
    env: {
      KUBERNETES_SERVICE_HOST: "10.96.0.1",
      KUBERNETES_SERVICE_PORT: "443",
    },
    sleep: async () => {
      const action = rounds[round++];
      if (action) action();
      else stopped = true;
      await Promise.resolve();
    },
    stopped: () => stopped,
  });
  return {
    exitCode: ended.exitCode,
    stdout: short(node, ended.stdout),
    stderr: short(node, ended.stderr),
  };
}
