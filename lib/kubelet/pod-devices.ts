/**
 * Opens the devices of a pod: the kubelet's list, and the metadata files of its DRA
 * drivers on this node. The other modules of this directory are loaded with it.
 */
import { Allotment } from "./allotment.ts";
import type { Sources } from "./pod-claims.ts";
import { kubeletDirectories, readClaimMetadata } from "./claim-metadata.ts";
import { podContainers } from "./podresources.ts";
import type { UsedDevice } from "./taken-devices.ts";

/** Throws CniError 11. */
export async function openAllotment(
  pod: Parameters<typeof podContainers>[0],
  kubelet: Parameters<typeof podContainers>[1],
  sources: Omit<Sources, "metadata">,
  inUse: readonly UsedDevice[],
): Promise<Allotment> {
  const containers = await podContainers(pod, kubelet);
  const directories = kubeletDirectories(kubelet.socket);
  const metadata: Sources["metadata"] = (driver, claim) =>
    readClaimMetadata(directories, driver, claim);
  return new Allotment(containers, { ...sources, metadata }, inUse);
}
