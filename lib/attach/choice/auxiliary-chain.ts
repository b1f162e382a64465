/**
 * The auxiliary chain (selection.md §11): the configurations of a directory below
 * `confDir` as one list, executed last for every pod on the primary's interface. Loaded
 * on nodes with the key `auxiliaryChain`.
 */
import { listConfDir, readConfFile } from "../../cni/confdir.ts";
import { type NetworkConfigList, maxPlugins } from "../../cni/conflist.ts";
import { invalidConfig } from "../../cni/error.ts";
import { executesAny } from "../../cni/executable-types.ts";
import { compareVersions } from "../../cni/version.ts";
import { plain } from "../../linux/text.ts";
import type { Attachment } from "../../select/attachment.ts";
import { ownTypes } from "../../select/node-networks.ts";
import type { Context } from "../context.ts";

export function auxiliaryChain(
  { config, request }: Context,
  name: string,
): Attachment | undefined {
  const list = auxiliaryList(config.confDir, name, ownTypes(config));
  return (
    list && {
      list,
      ifname: request.ifname,
      args: request.args,
      // The runtime's port mappings and bandwidth are the primary's (NPWG §7.5).
      capabilityArgs: {},
      origin: "auxiliary",
    }
  );
}

/**
 * undefined for an empty or missing directory. Throws 7 for an invalid file and for one
 * of `types` (genie), 5 for the disk.
 */
export function auxiliaryList(
  confDir: string,
  name: string,
  types: readonly string[],
): NetworkConfigList | undefined {
  const directory = `${confDir}/${name}`;
  const fail = (problem: string) =>
    invalidConfig(`auxiliary chain ${plain(directory)}: ${problem}`);
  const lists = listConfDir(directory).flatMap((file) => {
    const read = readConfFile(directory, file);
    // An invalid file is an error: the operator wants these plugins for every pod.
    if (read?.problem !== undefined)
      throw fail(`${plain(file)}: ${read.problem}`);
    return read ? [read.list] : [];
  });
  const plugins = lists.flatMap((list) => list.plugins);
  // Plugins that know a version know those before it.
  const [cniVersion] = lists
    .map((list) => list.cniVersion)
    .toSorted(compareVersions);
  if (cniVersion === undefined) return undefined;
  if (plugins.length > maxPlugins)
    throw fail(`more than ${maxPlugins} plugins`);
  if (executesAny(plugins, types)) throw fail("it would execute genie again");
  return {
    name,
    cniVersion,
    disableCheck: lists.some(({ disableCheck }) => disableCheck),
    disableGC: true,
    loadOnlyInlinedPlugins: true,
    plugins,
  };
}
