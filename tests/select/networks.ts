/** Networks of a node for tests, without files. */
import { parseAnyConf } from "../../lib/cni/conflist.ts";
import { type Networks, lazyNetworks } from "../../lib/select/node-networks.ts";

/** File → its configuration, or why it has none. */
export type Files = Readonly<Record<string, object | string>>;

export interface CountedNetworks extends Networks {
  /** The files that have been read, in that order. */
  reads: string[];
}

export function nodeNetworks(
  files: Files,
  confDir = "/etc/cni/net.d",
): CountedNetworks {
  const reads: string[] = [];
  const read = (file: string) => {
    reads.push(file);
    const content = files[file];
    return typeof content === "string"
      ? { file, problem: content }
      : { file, list: parseAnyConf({ ...content }, "") };
  };
  const networks = lazyNetworks(confDir, Object.keys(files), read, ["genie"]);
  return Object.defineProperty(networks, "reads", {
    value: reads,
  }) as CountedNetworks;
}
