/**
 * Requirements of `install` for the node's networks, checked before any change
 * (container-runtimes.md K-1).
 */
import { join } from "node:path";
import { type ConfFile, readConfDir } from "../cni/confdir.ts";
import { Code, CniError } from "../cni/error.ts";
import { own } from "../cni/json.ts";
import {
  type Networks,
  firstNetwork,
  networksOf,
} from "../select/node-networks.ts";
import { cachedNetworks, crioHazards, hazardText } from "./crio.ts";
import type { DefaultNetwork } from "./default-network.ts";
import type { Host } from "./host.ts";
import { ownFile, ownType } from "./node.ts";

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
  const confDir = own(configured, "confDir");
  return typeof confDir === "string" ? confDir : undefined;
}

/** A runtime uses the first file, which could be CNI-Genie's `00-genie.conf`. */
export function refuseEarlier(files: readonly string[], confDir: string): void {
  const earlier = files.find(
    (file) => Buffer.compare(Buffer.from(file), Buffer.from(ownFile)) < 0,
  );
  if (earlier === undefined) return;
  throw new CniError(
    Code.invalidNetworkConfig,
    `${join(confDir, earlier)} comes before ${ownFile}, so the runtime would use it: rename it (a CNI-Genie's keys belong into ${ownFile})`,
  );
}

export function refuseHazards(
  networks: Networks,
  { name }: DefaultNetwork,
  installed: boolean,
  host: Host,
): void {
  const { candidates } = networks;
  const hazards = crioHazards({
    candidates,
    name,
    cached: cachedNetworks(host),
    former: installed ? undefined : firstName(networks),
  });
  if (hazards.length === 0) return;
  throw new CniError(
    Code.invalidNetworkConfig,
    `running pods would lose their network: ${hazards.map(hazardText).join("; ")}`,
  );
}

function firstName(networks: Networks): string | undefined {
  try {
    return firstNetwork(networks).list.name;
  } catch {
    return undefined;
  }
}
