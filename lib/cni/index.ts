/**
 * The public surface of lib/cni: the Container Network Interface in both roles, for
 * every version of its specification from 0.1.0 to 1.1.0. It knows nothing of genie or
 * Kubernetes.
 *
 * - As a runtime (libcni): read configurations with `readConfDir` or `parseConfList`, then
 *   `addNetwork`, `checkNetwork`, `delNetwork`, `gcNetwork`, `statusNetwork`.
 * - As a plugin (skel): `runPlugin` with one function for each verb, and `systemIo`.
 * - Results: `parseResult`, `convertResult`.
 *
 * Modules of this repository import the module of a name; this list is for others.
 */
export { cniArg, formatCniArgs, parseCniArgs } from "./args.ts";
export { type ConfFile, readConfDir } from "./confdir.ts";
export {
  type NetworkConfigList,
  type PluginConf,
  parseConf,
  parseConfList,
} from "./conflist.ts";
export { CniError, Code, type ErrorObject } from "./error.ts";
export { type Caller, type RuntimeConf, findPlugin, invoke } from "./invoke.ts";
export { JsonError, parseJson } from "./json.ts";
export { addNetwork, delNetwork, validateNetwork } from "./network.ts";
export {
  type ValidAttachment,
  checkNetwork,
  gcNetwork,
  statusNetwork,
} from "./network-upkeep.ts";
export {
  type Dns,
  type Interface,
  type IpConfig,
  type Result,
  type Route,
  convertResult,
  parseResult,
} from "./result.ts";
export { type Plugin, runPlugin } from "./skel.ts";
export { type Request } from "./plugin-request.ts";
export { type Io, systemIo } from "./plugin-io.ts";
export { type CniVersion, supportedVersions } from "./version.ts";
