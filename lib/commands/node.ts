/**
 * This node's genie as an operator's command sees it: the configuration that
 * the runtime would pass to us, found among the files of the folder.
 */
import { beginOperation, type Operation } from "../attach/operation.ts";
import { realWorld } from "../attach/world.ts";
import { readConfDir } from "../cni/confdir.ts";
import type { Request } from "../cni/skel.ts";
import { latestVersion } from "../cni/version.ts";

export interface NodeOptions {
  confDir: string;
  binDir: string;
  /** Instead of the configuration's. */
  dataDir?: string | undefined;
}

export const nodeDefaults = {
  confDir: "/etc/cni/net.d",
  binDir: "/opt/cni/bin",
} as const;

const ownType = "genie";

/** An operation without a container. Without a configuration of ours the defaults hold. */
export function nodeOperation(
  { confDir, binDir, dataDir }: NodeOptions,
  env: Readonly<Record<string, string | undefined>>,
): Operation {
  const found = readConfDir(confDir)
    .flatMap(({ list }) => list ?? [])
    .flatMap((list) => list.plugins.map((plugin) => ({ list, plugin })))
    .find(({ plugin }) => plugin.type === ownType);
  const request: Request = {
    command: "GC",
    containerId: "",
    netns: "",
    ifname: "",
    args: "",
    path: [binDir],
    config: {
      confDir,
      ...found?.plugin,
      name: found?.list.name ?? ownType,
      ...(dataDir !== undefined && { dataDir }),
    },
    cniVersion: latestVersion,
  };
  return beginOperation(request, realWorld(env));
}
