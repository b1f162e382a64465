/**
 * Device information files (selection.md §6, NPWG device-info specification
 * v1.1): the device plugin writes one, the CNI plugin may write another, the
 * pod's status carries what the latter says in the end.
 */
import { Code, CniError } from "../cni/error.ts";
import { messageOf } from "../linux/errno.ts";
import {
  makeDirectory,
  readOwnFileIfAny,
  removeFile,
  writeFile,
} from "../linux/files.ts";
import { isObject, own, parseJson } from "../cni/json.ts";
import type { Attachment } from "../select/select.ts";

const directory = "/var/run/k8s.cni.cncf.io/devinfo";

/** Of a file, which describes one device. */
const maxBytes = 1 << 20;

/** The capability by which a CNI plugin asks for the path. */
const capability = "CNIDeviceInfoFile";

/** The attachment with the path of its own file, if it has a device. */
export function withDeviceInfoFile(
  containerId: string,
  attachment: Attachment,
): Attachment {
  if (!attachment.asked?.device) return attachment;
  const path = `${directory}/cni/${containerId}-${attachment.ifname}-device.json`;
  return {
    ...attachment,
    capabilityArgs: { ...attachment.capabilityArgs, [capability]: path },
  };
}

/** Starts the file with what the device plugin says; without that, the CNI plugin makes it. */
export function prepareDeviceInfo(attachment: Attachment): void {
  const path = fileOf(attachment);
  const device = attachment.asked?.device;
  if (path === undefined || !device) return;
  makeDirectory(`${directory}/cni`, 0o755);
  if (device.resource === undefined) return;
  const source = `${device.resource}-${device.id}`.replaceAll("/", "-");
  const info = read(`${directory}/dp/${source}-device.json`);
  if (info !== undefined) writeFile(path, info, 0o644);
}

/** undefined where a device plugin writes none. Throws 5. */
function read(path: string): string | undefined {
  try {
    return readOwnFileIfAny(path, maxBytes);
  } catch (cause) {
    throw new CniError(
      Code.io,
      `failed to read device information ${path}: ${messageOf(cause)}`,
      { cause },
    );
  }
}

/** What the file says now; undefined when there is none or it is not an object. */
export function readDeviceInfo(
  attachment: Attachment,
): Record<string, unknown> | undefined {
  const path = fileOf(attachment);
  if (path === undefined) return undefined;
  try {
    const text = read(path);
    const info = text === undefined ? undefined : parseJson(text);
    return isObject(info) ? info : undefined;
  } catch {
    return undefined;
  }
}

/** Removes the file of a deleted attachment; nothing outside of its directory is touched. */
export function removeDeviceInfo(attachment: Attachment): void {
  const path = fileOf(attachment);
  if (path !== undefined) removeFile(path);
}

function fileOf({ capabilityArgs }: Attachment): string | undefined {
  const path = own(capabilityArgs, capability);
  const ours = `${directory}/cni/`;
  if (typeof path !== "string" || !path.startsWith(ours)) return undefined;
  return path.slice(ours.length).includes("/") ? undefined : path;
}
