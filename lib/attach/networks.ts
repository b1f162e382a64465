/**
 * The networks that pods can choose on this node: the names of the files are
 * listed, and a file is read when it is needed.
 */
import { listConfDir, readConfFile } from "../cni/confdir.ts";
import { type Networks, lazyNetworks } from "../select/resolve.ts";
import { type Context, ownTypes } from "./context.ts";

/** Of `confDir`, or of another directory. Throws 5 when it cannot be read. */
export function readNetworks(
  { config }: Context,
  directory = config.confDir,
): Networks {
  return lazyNetworks(
    directory,
    listConfDir(directory),
    (file) => readConfFile(directory, file),
    ownTypes(config),
  );
}
