/**
 * Device information files (selection.md §6, NPWG device-info specification v1.1): the
 * device plugin writes one, the CNI plugin may change a copy, and that copy goes to the
 * pod's status.
 */
import { rmSync } from "node:fs";
import { Code, CniError } from "../cni/error.ts";
import { errnoOf, messageOf } from "../linux/errno.ts";
import { makeDirectory, removeFile, writeFile } from "../linux/files.ts";
import { readOwnFileIfAny } from "../linux/own-files.ts";
import { type JsonObject, isObject, own, parseJson } from "../cni/json.ts";

/** Capability arguments of an attachment. */
type CapabilityArgs = Readonly<Record<string, unknown>>;

const directory = "/var/run/k8s.cni.cncf.io/devinfo";

/** Limit of a file, in bytes. */
const maxBytes = 1 << 20;

/** The capability with which a CNI plugin asks for the path. */
const capability = "CNIDeviceInfoFile";

/** The path of the attachment's own file, from its capability arguments. */
export function deviceInfoArgs(
  containerId: string,
  ifname: string,
): CapabilityArgs {
  return {
    [capability]: `${directory}/cni/${containerId}-${ifname}-device.json`,
  };
}

/**
 * Makes the file as a copy of the device plugin's; without that one, the CNI plugin
 * makes it. Throws 5.
 */
export function prepareDeviceInfo(
  args: CapabilityArgs,
  device: { id: string; resource?: string },
): void {
  const path = fileOf(args);
  if (path === undefined) return;
  makeDirectory(`${directory}/cni`, 0o755);
  if (device.resource === undefined) return;
  const source = `${device.resource}-${device.id}`.replaceAll("/", "-");
  const info = read(`${directory}/dp/${source}-device.json`);
  if (info !== undefined) writeFile(path, info, 0o644);
}

/** undefined if the device plugin writes none. Throws 5. */
function read(path: string): string | undefined {
  try {
    return readOwnFileIfAny(path, maxBytes);
  } catch (cause) {
    // Resource and device ID together can be longer than a file name: no such file exists.
    if (errnoOf(cause) === "ENAMETOOLONG") return undefined;
    throw new CniError(
      Code.io,
      `failed to read device information ${path}: ${messageOf(cause)}`,
      { cause },
    );
  }
}

/** The object in the file; undefined when there is none. */
export function readDeviceInfo(args: CapabilityArgs): JsonObject | undefined {
  const path = fileOf(args);
  if (path === undefined) return undefined;
  try {
    const text = read(path);
    const info = text === undefined ? undefined : parseJson(text);
    return isObject(info) ? info : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Removes the file of a deleted attachment; never a file outside of its directory. A
 * directory that a CNI plugin made in its place would fail every DEL.
 */
export function removeDeviceInfo(args: CapabilityArgs): void {
  const path = fileOf(args);
  if (path === undefined) return;
  try {
    removeFile(path);
  } catch (error) {
    if (errnoOf(error) !== "EISDIR") throw error;
    rmSync(path, { recursive: true, force: true });
  }
}

function fileOf(args: CapabilityArgs): string | undefined {
  const path = own(args, capability);
  const ours = `${directory}/cni/`;
  if (typeof path !== "string" || !path.startsWith(ours)) return undefined;
  const name = path.slice(ours.length);
  return ["", ".", ".."].includes(name) || name.includes("/")
    ? undefined
    : path;
}
