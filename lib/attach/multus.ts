/**
 * Pods that Multus attached before this node moved to genie: its file of a
 * container says what to delete, so no pod has to be restarted. The format is
 * that of Multus' `saveDelegates`: `<cniDir>/<containerID>`, a JSON array of
 * delegates, the first being the default network.
 */
import { ifnameProblem } from "../cni/args.ts";
import {
  type NetworkConfigList,
  parseConf,
  parseConfList,
} from "../cni/conflist.ts";
import { messageOf } from "../cni/error.ts";
import { readFileIfAny, removeFile } from "../cni/files.ts";
import { isObject, own, parseJson } from "../cni/json.ts";
import type { Attachment } from "../select/select.ts";
import type { Operation } from "./operation.ts";

/** What Multus attached, in its order; undefined when it left no file that can be understood. */
export function multusAttachments(
  operation: Operation,
): Attachment[] | undefined {
  const path = fileOf(operation);
  if (path === undefined) return undefined;
  try {
    const text = readFileIfAny(path);
    return text === undefined ? undefined : parse(text, operation);
  } catch (error) {
    operation.log.error("failed to read a file of Multus", {
      path,
      error: messageOf(error),
    });
    return undefined;
  }
}

/** To be called when everything in it is deleted. */
export function removeMultusFile(operation: Operation): void {
  const path = fileOf(operation);
  if (path !== undefined) removeFile(path);
}

function fileOf({ config, request }: Operation): string | undefined {
  return config.multusDir === ""
    ? undefined
    : `${config.multusDir}/${request.containerId}`;
}

function parse(text: string, { request, config }: Operation): Attachment[] {
  const delegates = parseJson(text);
  if (!Array.isArray(delegates))
    throw new Error("expected a list of delegates");
  return delegates.map((delegate: unknown, i): Attachment => {
    const primary = i === 0;
    return {
      list: configOf(delegate, i),
      ifname: ifnameOf(delegate, i, request.ifname),
      args: request.args,
      capabilityArgs: primary ? config.runtimeConfig : {},
    };
  });
}

function configOf(delegate: unknown, i: number): NetworkConfigList {
  const bytes = own(delegate, "Bytes");
  if (typeof bytes !== "string")
    throw new Error(`${i}.Bytes: expected a string`);
  const value = parseJson(Buffer.from(bytes, "base64").toString());
  if (!isObject(value)) throw new Error(`${i}.Bytes: expected an object`);
  const named = own(value, "name")
    ? value
    : { ...value, name: own(delegate, "Name") };
  return own(value, "plugins") === undefined
    ? parseConf(named)
    : parseConfList(named);
}

/** The default network has the runtime's name, the others the requested one or their place. */
function ifnameOf(delegate: unknown, i: number, cniIfname: string): string {
  const requested = own(delegate, "ifnameRequest");
  const ifname =
    typeof requested === "string" && requested !== "" ? requested : undefined;
  if (ifname !== undefined && !ifnameProblem(ifname)) return ifname;
  return i === 0 ? cniIfname : `net${i}`;
}
