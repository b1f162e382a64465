/**
 * A file of the definitions' cache, `<dataDir>/definitions`: written by the agent, read
 * by ADD in place of a GET (agent.md `--cache`). A file that is torn, foreign or of
 * another definition is the same as none.
 */
import { isObject, own, parseJson } from "../cni/json.ts";
import type { NetworkAttachmentDefinition } from "../kube/objects.ts";
import {
  isOwnFile,
  readOwnFileIfAny,
  requireOwnDirectory,
} from "../linux/own-files.ts";
import { withLength, withoutLength } from "./record-text.ts";
import { Records } from "./records.ts";

export const definitionsDirectory = "definitions";

/** An object of etcd is at most 1.5 MiB. */
const maxBytes = 4 << 20;

/** The name of a definition's file in that directory. */
export function definitionFile(namespace: string, name: string): string {
  return `${Records.nameOf(namespace, name)}.json`;
}

export function textOfDefinition({
  metadata: { namespace = "", name = "", annotations },
  spec: { config },
}: NetworkAttachmentDefinition): string {
  return withLength(JSON.stringify({ namespace, name, annotations, config }));
}

/** undefined without a valid file. Never throws. */
export function cachedDefinition(
  dataDir: string,
  namespace: string,
  name: string,
): NetworkAttachmentDefinition | undefined {
  try {
    const directory = `${dataDir}/${definitionsDirectory}`;
    requireOwnDirectory(directory);
    const path = `${directory}/${definitionFile(namespace, name)}`;
    if (!isOwnFile(path)) return undefined;
    const text = withoutLength(readOwnFileIfAny(path, maxBytes) ?? "");
    if (text === undefined) return undefined;
    const value = parseJson(text);
    const annotations = own(value, "annotations");
    const config = own(value, "config");
    const isMeant =
      own(value, "namespace") === namespace && own(value, "name") === name;
    if (!isMeant || !isTextMap(annotations)) return undefined;
    if (config !== undefined && typeof config !== "string") return undefined;
    const spec = config === undefined ? {} : { config };
    return { metadata: { namespace, name, annotations }, spec };
  } catch {
    return undefined;
  }
}

function isTextMap(value: unknown): value is Record<string, string> {
  if (!isObject(value)) return false;
  for (const text of Object.values(value))
    if (typeof text !== "string") return false;
  return true;
}
