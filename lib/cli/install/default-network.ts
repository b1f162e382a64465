/**
 * The default network that `install` writes (selection.md §5), its name and its plugins, and
 * the checks of the node's networks before anything changes (container-runtimes.md K-1).
 */
import { join } from "node:path";
import { isIdentifier } from "../../cni/identifiers.ts";
import { type ConfFile, readConfDir } from "../../cni/confdir.ts";
import { CniError, invalidConfig } from "../../cni/error.ts";
import { ownText } from "../../cni/json.ts";
import { validateNetwork } from "../../cni/network.ts";
import { messageOf } from "../../linux/errno.ts";
import { quote } from "../../linux/text.ts";
import { type Attachment, displayName } from "../../select/attachment.ts";
import { parseChoice } from "../../select/choice.ts";
import { readConfig } from "../../select/config.ts";
import {
  type Candidate,
  type Networks,
  findNetwork,
  invalidFiles,
  networksOf,
} from "../../select/node-networks.ts";
import { firstNetwork } from "../../select/default-network.ts";
import { resolve } from "../../select/resolve.ts";
import { attempt } from "../node/attempt.ts";
import { crioHazards, hazardText } from "../node/crio.ts";
import { ownFile, ownType } from "../node/directories.ts";
import type { Host } from "../node/host.ts";

export interface DefaultNetwork {
  /** The value of `default_plugin`, unambiguous even if files are added. */
  plugin: string;
  /** The `name` of the network on the runtime's interface. */
  name: string;
}

/** The runtimes' name for the first interface of a pod. */
const runtimeIfname = "eth0";

/**
 * `requested` has the form of `default_plugin`; "" is the first network of the
 * directory, by `first`. Throws 7.
 */
export function chooseDefault(
  requested: string,
  networks: Networks,
  first: typeof firstNetwork = firstNetwork,
): DefaultNetwork {
  if (requested.trim() === "") {
    const candidate = first(networks);
    refuseMultus(candidate);
    return {
      plugin: uniqueName(candidate, networks),
      name: candidate.list.name,
    };
  }
  const primary = defaultAttachments(requested, networks).find(
    ({ ifname }) => ifname === runtimeIfname,
  );
  return { plugin: requested, name: primary?.list.name ?? "" };
}

/** `87-podman-bridge.conflist`, `100-crio-bridge.conflist`, `nerdctl-bridge.conflist`. */
export function isOfEngine(file: string): boolean {
  return /(?:^|-)(?:podman|crio|nerdctl)/.test(file);
}

/**
 * The first network that is not a container engine's own. On a new node those are there
 * before the cluster's network, which is installed by pods as genie is. Throws 7.
 */
export function firstOfCluster(networks: Networks): Candidate {
  const { confDir, files } = networks;
  const engines = files.filter(
    (file) => isOfEngine(file) && networks.candidate(file),
  );
  const others = files.filter((file) => !engines.includes(file));
  const first = attempt(() => firstNetwork({ ...networks, files: others }));
  if (first) return first;
  if (engines.length === 0) return firstNetwork(networks);
  throw invalidConfig(
    `no default network: ${confDir} holds only networks of container engines (${engines.join(", ")}), which reach no other node: install the cluster's network, or name one of them with --default${invalidFiles(networks)}`,
  );
}

/** The networks of a pod without annotations. Throws 7. */
function defaultAttachments(
  defaultPlugin: string,
  networks: Networks,
): Attachment[] {
  const config = readConfig({ type: ownType, default_plugin: defaultPlugin });
  const context = { config, networks, ifname: runtimeIfname, args: "" };
  return resolve(parseChoice({}, context), context);
}

/**
 * {@link validateNetwork} for the networks of a pod without annotations; the error
 * names the network.
 */
export function requireDefaultPlugins(
  defaultPlugin: string,
  networks: Networks,
  path: readonly string[],
): void {
  for (const attachment of defaultAttachments(defaultPlugin, networks)) {
    try {
      validateNetwork(attachment.list, path, undefined);
    } catch (cause) {
      const { code, details } = CniError.from(cause);
      const name = quote(displayName(attachment));
      const message = `network ${name}: ${messageOf(cause)}`;
      throw new CniError(code, message, { details, cause });
    }
  }
}

/** The shortest name that selects this file. */
function uniqueName(candidate: Candidate, networks: Networks): string {
  const { file, key, list } = candidate;
  const names = [key, file.replace(/\.[^.]*$/, ""), list.name];
  const name = names.find(
    (text) => isIdentifier(text) && findNetwork(networks, text) === candidate,
  );
  if (name !== undefined) return name;
  throw invalidConfig(
    `no name leads to ${file} alone: have ${names.map(quote).join(", ")}`,
  );
}

const multusTypes = new Set(["multus", "multus-shim"]);

/** Multus executes the first file of the directory, which would be genie's. */
function refuseMultus({ file, list }: Candidate): void {
  if (!list.plugins.some(({ type }) => multusTypes.has(type))) return;
  throw invalidConfig(
    `the first network is Multus (${file}), which would execute genie in turn: name the default network with --default`,
  );
}

/** An operator may keep the networks in another directory (`confDir`). */
export function networksIn(
  configured: object,
  { confDir, files }: { confDir: string; files: readonly ConfFile[] },
  host: Host,
): Networks {
  const other = configuredConfDir(configured);
  return other === undefined || other === confDir
    ? // Ours is no choice even where another program removed genie from it.
      networksOf(
        confDir,
        files.filter(({ file }) => file !== ownFile),
        [ownType],
      )
    : networksOf(other, readConfDir(host.path(other)), [ownType]);
}

export function configuredConfDir(configured: object): string | undefined {
  return ownText(configured, "confDir");
}

/** A runtime uses the first file, which could be CNI-Genie's `00-genie.conf`. */
export function refuseEarlier(files: readonly string[], confDir: string): void {
  const earlier = files.find(
    (file) => Buffer.compare(Buffer.from(file), Buffer.from(ownFile)) < 0,
  );
  if (earlier === undefined) return;
  throw invalidConfig(
    `${join(confDir, earlier)} comes before ${ownFile}, so the runtime would use it: rename it (a CNI-Genie's keys belong into ${ownFile})`,
  );
}

export function refuseHazards(
  networks: Networks,
  { name }: DefaultNetwork,
  installed: boolean,
  host: Host,
): void {
  const previousDefault = installed
    ? undefined
    : attempt(() => firstNetwork(networks).list.name);
  const hazards = crioHazards(host, networks.candidates, name, previousDefault);
  if (hazards.length === 0) return;
  throw invalidConfig(
    `running pods would lose their network: ${hazards.map(hazardText).join("; ")}`,
  );
}
