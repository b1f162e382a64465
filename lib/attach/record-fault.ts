/**
 * Whether what was read from the disk is an attachment record, and where it is
 * not. Plain code and no schema: every DEL reads a record that genie itself wrote,
 * and a schema would take longer to make than the record to read.
 */
import { isObject, own } from "../cni/json.ts";

/** The dot path of the first fault; undefined for a record. */
export function faultIn(record: unknown): string | undefined {
  return (
    wrongKey(record, "number", ["formatVersion", "uptimeMs"]) ??
    wrongKey(record, "string", [
      "containerId",
      "ifname",
      "netns",
      "network",
      "time",
      "bootId",
    ]) ??
    wrongOptional(record, "netnsId", textFault) ??
    wrongOptional(record, "mountNamespace", textFault) ??
    wrongOptional(record, "pod", podFault) ??
    wrongOptional(record, "failures", failuresFault) ??
    wrongOptional(record, "abandoned", abandonedFault) ??
    wrongElement(record, "path", textFault) ??
    wrongElement(record, "attachments", attachmentFault)
  );
}

function attachmentFault(attachment: unknown): string | undefined {
  const list = own(attachment, "list");
  const flags = ["disableCheck", "disableGC", "loadOnlyInlinedPlugins"];
  const inList =
    wrongKey(list, "string", ["name", "cniVersion"]) ??
    wrongKey(list, "boolean", flags) ??
    wrongElement(list, "plugins", pluginFault);
  if (inList !== undefined) return `.list.${inList}`;
  const wrong =
    wrongKey(attachment, "string", ["ifname", "args"]) ??
    wrongOptional(attachment, "definition", textFault) ??
    wrongOptional(attachment, "requested", textFault);
  if (wrong !== undefined) return `.${wrong}`;
  return isObject(own(attachment, "capabilityArgs"))
    ? undefined
    : ".capabilityArgs";
}

function pluginFault(plugin: unknown): string | undefined {
  return typeof own(plugin, "type") === "string" ? undefined : ".type";
}

/** The first of the keys whose value is of another type. */
function wrongKey(
  object: unknown,
  type: "string" | "number" | "boolean",
  keys: readonly string[],
): string | undefined {
  for (const key of keys) {
    if (typeof own(object, key) !== type) return key;
  }
  return undefined;
}

/** What is wrong with a value: the rest of the path to it, "" for itself. */
type FaultOf = (value: unknown) => string | undefined;

function wrongOptional(
  object: unknown,
  key: string,
  faultOf: FaultOf,
): string | undefined {
  const value = own(object, key);
  const fault = value === undefined ? undefined : faultOf(value);
  return fault === undefined ? undefined : `${key}${fault}`;
}

/** `key` when it is no array, else the place in the first element with a fault. */
function wrongElement(
  object: unknown,
  key: string,
  faultOf: FaultOf,
): string | undefined {
  const elements = own(object, key);
  if (!Array.isArray(elements)) return key;
  for (const [i, element] of elements.entries()) {
    const fault = faultOf(element);
    if (fault !== undefined) return `${key}.${i}${fault}`;
  }
  return undefined;
}

function textFault(value: unknown): string | undefined {
  return typeof value === "string" ? undefined : "";
}

function podFault(pod: unknown): string | undefined {
  const key = wrongKey(pod, "string", ["namespace", "name", "uid"]);
  return key === undefined ? undefined : `.${key}`;
}

function failuresFault(failures: unknown): string | undefined {
  const key =
    wrongKey(failures, "number", ["count", "uptimeMs"]) ??
    wrongKey(failures, "string", ["bootId"]);
  return key === undefined ? undefined : `.${key}`;
}

function abandonedFault(abandoned: unknown): string | undefined {
  const key =
    wrongKey(abandoned, "string", ["time"]) ??
    wrongElement(abandoned, "errors", (error) =>
      wrongKey(error, "string", ["ifname", "network", "error"]),
    );
  return key === undefined ? undefined : `.${key}`;
}
