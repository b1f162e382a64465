/**
 * Configurations that several attachments of one record share: format 2 stores
 * each once (state.md "What ADD writes, DEL reads"). Pure. A definition that a pod
 * names 31 times would otherwise be 31 times in its record.
 */
import type { NetworkConfigList } from "../cni/conflist.ts";
import { type JsonObject, isObject } from "../cni/json.ts";
import type { Attachment } from "../select/select.ts";

/** The keys of a record of format 2 that differ from format 1. */
interface Shared {
  /** Each configuration once. */
  configurations: NetworkConfigList[];
  /** `list` is an index of `configurations`. */
  attachments: (Omit<Attachment, "list"> & { list: number })[];
}

/** undefined where no two attachments have the same configuration: format 1 can say that. */
export function sharedConfigurations(
  attachments: readonly Attachment[],
): Shared | undefined {
  if (attachments.length < 2) return undefined;
  const configurations: NetworkConfigList[] = [];
  const indexed: Shared["attachments"] = [];
  const same = sameness();
  for (const { list, ...rest } of attachments) {
    const known = configurations.findIndex((other) => same(list, other));
    indexed.push({
      ...rest,
      list: known < 0 ? configurations.push(list) - 1 : known,
    });
  }
  return configurations.length < attachments.length
    ? { configurations, attachments: indexed }
    : undefined;
}

/** Whether two lists say the same; each is printed once at most, and only where the names are equal. */
function sameness() {
  const texts = new Map<NetworkConfigList, string>();
  const textOf = (list: NetworkConfigList): string => {
    const known = texts.get(list) ?? JSON.stringify(list);
    texts.set(list, known);
    return known;
  };
  return (a: NetworkConfigList, b: NetworkConfigList): boolean =>
    a === b || (a.name === b.name && textOf(a) === textOf(b));
}

/**
 * A decoded record with the configurations put back into its attachments, where it
 * is of format 2. Nothing is checked: an index that leads nowhere leaves no list.
 */
export function withConfigurations(record: JsonObject): JsonObject {
  const { configurations, attachments, ...rest } = record;
  if (!Array.isArray(configurations) || !Array.isArray(attachments))
    return record;
  const lists: readonly unknown[] = configurations;
  const whole = attachments.map((attachment: unknown) => {
    if (!isObject(attachment)) return attachment;
    const { list: index, ...others } = attachment;
    return typeof index === "number"
      ? { list: lists[index], ...others }
      : attachment;
  });
  return { ...rest, attachments: whole };
}
