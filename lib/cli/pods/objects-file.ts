/** The objects of a file as `kubectl apply -f` takes it: YAML or JSON, one or several. */
import { readFileSync } from "node:fs";
import { isObject, mismatch, own, ownText, parseJson } from "../../cni/json.ts";
import { SystemError, errnoOf, messageOf } from "../../linux/errno.ts";

/**
 * Returns the result of `read` for the text of a file or pipe; `-` is stdin. Throws Error
 * that names the file.
 */
export async function fromFile<T>(
  file: string,
  read: (text: string) => T,
): Promise<T> {
  try {
    return read(
      file === "-" ? await Bun.stdin.text() : readFileSync(file, "utf8"),
    );
  } catch (cause) {
    const errno = errnoOf(cause);
    const problem = errno === undefined ? cause : new SystemError(errno);
    const shown = file === "-" ? "stdin" : file;
    throw new Error(`${shown}: ${messageOf(problem)}`, { cause });
  }
}

/**
 * The objects of a YAML or JSON text. Throws Error for a fault, with its position, for a text
 * without object or list, and for `items` that are no objects.
 */
export function objectsOf(text: string): object[] {
  let value: unknown;
  try {
    value = Bun.YAML.parse(text);
  } catch (cause) {
    throw new Error(`neither YAML nor JSON: ${faultIn(text, cause)}`, {
      cause,
    });
  }
  // Several documents are a list; a List has its objects in `items`.
  const documents: unknown[] = [value].flat();
  if (!documents.some(isObject)) throw new Error("no object is in it");
  return documents.flatMap((document): object[] => {
    const items = own(document, "items");
    const kind =
      ownText(document, "kind") ?? (items === undefined ? undefined : "List");
    if (Array.isArray(items) || kind?.endsWith("List"))
      return itemsOf(items, kind?.replace(/List$/, ""));
    return isObject(document) ? [document] : [];
  });
}

/**
 * `null` is an empty list of a program in Go. `kind`: that of the items of a `PodList`,
 * which have none of their own.
 */
function itemsOf(items: unknown, kind: string | undefined): object[] {
  if (items === null || items === undefined) return [];
  if (!Array.isArray(items))
    throw new Error(`items: ${mismatch("an array", items)}`);
  return items.map((item: unknown, i) => {
    if (!isObject(item))
      throw new Error(`items.${i}: ${mismatch("an object", item)}`);
    return kind && item["kind"] === undefined ? { ...item, kind } : item;
  });
}

/**
 * Bun's YAML errors have no position: JSON is parsed again for it; of several
 * documents the first invalid one is named.
 */
function faultIn(text: string, fault: unknown): string {
  if (/^\s*[[{]/.test(text)) {
    try {
      parseJson(text);
    } catch (error) {
      return messageOf(error);
    }
  }
  const documents = text.split(/^---/m);
  const first = documents[0]?.trim() === "" ? 0 : 1;
  let line = 1;
  for (const [i, document] of documents.entries()) {
    try {
      Bun.YAML.parse(document);
    } catch (error) {
      return `document ${i + first}, from line ${line}: ${messageOf(error)}`;
    }
    line += document.split("\n").length - 1;
  }
  return messageOf(fault);
}
