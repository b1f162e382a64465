/**
 * genie's peers, if the environment names their executables: MULTUS, MULTUS_SHIM with
 * MULTUS_DAEMON, CNI_GENIE.
 */
import { resolve } from "node:path";
import type { Plugin, Surroundings } from "../rows/plugin.ts";
import { cniGenieAt } from "./cni-genie.ts";
import { multusAt, startMultusDaemon } from "./multus.ts";

export interface Peers extends AsyncDisposable {
  plugins: Plugin[];
  /** Remarks below the table. */
  notes(): Promise<string[]>;
}

type Env = Readonly<Record<string, string | undefined>>;

/** Whether there will be any: they want a real network namespace for the pod. */
export function hasPeers(env: Env): boolean {
  return ["MULTUS", "MULTUS_SHIM", "CNI_GENIE"].some((name) => env[name]);
}

/** Throws Error when one of them cannot be started. */
export async function startPeers(
  env: Env,
  { node, api }: Surroundings,
): Promise<Peers> {
  await using stack = new AsyncDisposableStack();
  const plugins: Plugin[] = [];
  let notes = async (): Promise<string[]> => [];
  const { MULTUS, MULTUS_SHIM, MULTUS_DAEMON, CNI_GENIE } = env;
  if (MULTUS) plugins.push(multusAt(resolve(MULTUS), node));
  if (MULTUS_SHIM) {
    if (!MULTUS_DAEMON) throw new Error("MULTUS_SHIM needs MULTUS_DAEMON");
    const kubeconfig = api.kubeconfig(0);
    const daemon = stack.use(
      await startMultusDaemon(
        resolve(MULTUS_SHIM),
        resolve(MULTUS_DAEMON),
        node,
        kubeconfig,
      ),
    );
    plugins.push(daemon.plugin);
    notes = async () => [
      `Multus shim: its daemon, resident with ${(await daemon.residentMiB()).toFixed(0)} MiB, does the work; the CPU time, memory and system calls are the shim's alone`,
    ];
  }
  if (CNI_GENIE) {
    const original = stack.use(await cniGenieAt(resolve(CNI_GENIE), node));
    plugins.push(original.plugin);
  }
  const owned = stack.move();
  return {
    plugins,
    notes,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
