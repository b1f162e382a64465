/**
 * Files of Debian packages, also of other architectures and suites than this
 * machine's: apt downloads and verifies them with lists of its own, so that the
 * machine's configuration is not touched.
 */
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./run.ts";

export interface DebianPackage {
  name: string;
  version: string;
  /** Where the files of the package are. */
  root: string;
}

/** Extracts the newest version of a package below `scratch`. Throws Error with apt's words. */
export async function extractPackage(
  name: string,
  scratch: string,
  { architecture, suite }: { architecture: string; suite?: string },
): Promise<DebianPackage> {
  const directory = join(scratch, `${name}-${suite ?? "own"}-${architecture}`);
  const lists = join(directory, "lists");
  mkdirSync(join(lists, "partial"), { recursive: true });
  mkdirSync(join(directory, "cache/archives/partial"), { recursive: true });
  const options = [
    ["Dir::State::Lists", lists],
    ["Dir::Cache", join(directory, "cache")],
    ["APT::Architecture", architecture],
    ["APT::Architectures", architecture],
    ["APT::Sandbox::User", "root"],
    ...(suite === undefined ? [] : sourcesOf(suite, directory)),
  ].map(([key, value]) => `-o${key}=${value}`);
  await run(["apt-get", "-qq", ...options, "update"]);
  const download = ["apt-get", "-qq", ...options, "download", name];
  await run(download, { cwd: directory });
  const file = readdirSync(directory).find((path) => path.endsWith(".deb"));
  if (file === undefined) throw new Error(`apt downloaded no file of ${name}`);
  const root = join(directory, "root");
  const path = join(directory, file);
  await run(["dpkg-deb", "--extract", path, root]);
  const version = await run(["dpkg-deb", "--field", path, "Version"]);
  return { name, version: version.trim(), root };
}

/** apt's options for the archive of another suite. */
function sourcesOf(suite: string, directory: string): [string, string][] {
  const list = join(directory, "sources.list");
  const keys = "/usr/share/keyrings/debian-archive-keyring.gpg";
  writeFileSync(
    list,
    `deb [signed-by=${keys}] http://deb.debian.org/debian ${suite} main\n`,
  );
  return [
    ["Dir::Etc::SourceList", list],
    ["Dir::Etc::SourceParts", "-"],
  ];
}
