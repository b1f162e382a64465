/**
 * The files of the node that genie may change, to be compared.
 */
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { binDir, confDir } from "../networks.ts";

/** Mode and digest by path. */
export type Files = Readonly<Record<string, string>>;

export function nodeFiles(): Files {
  return Object.fromEntries([confDir, binDir].flatMap(entries));
}

function entries(directory: string): [string, string][] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted()
    .map((path) => [
      path,
      `${(statSync(path).mode & 0o7777).toString(8)} ${digest(path)}`,
    ]);
}

function digest(path: string): string {
  return new Bun.CryptoHasher("sha256")
    .update(readFileSync(path))
    .digest("hex");
}
