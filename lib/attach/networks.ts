/**
 * The networks that pods can choose on this node: the folder of configurations,
 * read, without ourselves.
 */
import { readConfDir } from "../cni/confdir.ts";
import { type Networks, networksOf } from "../select/resolve.ts";
import { type Operation, ownTypes } from "./operation.ts";

/** Throws 5 when the folder cannot be read. */
export function readNetworks({ config }: Operation): Networks {
  return networksOf(
    config.confDir,
    readConfDir(config.confDir),
    ownTypes(config),
  );
}
