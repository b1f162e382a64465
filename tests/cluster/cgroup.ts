/**
 * One control group for a run, of the same name in every hierarchy: the kubelet
 * wants its own cpu and memory group to be the same, and everything below it can
 * be removed at the end. Version 1, version 2 and both at once.
 */
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { errnoOf } from "../../lib/linux/errno.ts";

const root = "/sys/fs/cgroup";

/** Where daemons live: version 2 allows no process in a group that has children. */
const daemons = "daemons";

/** Makes the groups. */
export function createGroups(name: string): void {
  createGroup(name);
  createGroup(join(name, daemons));
}

/** Makes one group, which must not be there; its name. */
export function createGroup(name: string): string {
  for (const hierarchy of hierarchies()) {
    const group = join(hierarchy, name);
    mkdirSync(group);
    // A new group of this controller has neither and takes no process.
    for (const file of ["cpuset.cpus", "cpuset.mems"])
      inherit(join(group, file), join(group, "..", file));
  }
  return name;
}

/** Moves this process, and so whatever it starts. */
export function joinGroups(name: string): void {
  for (const hierarchy of hierarchies())
    writeFileSync(join(hierarchy, name, daemons, "cgroup.procs"), "0");
}

/** Removes the groups with all below them, whose processes have ended or are about to. */
export async function removeGroups(name: string): Promise<void> {
  const deadline = Date.now() + 10_000;
  for (const hierarchy of hierarchies())
    while (!removeTree(join(hierarchy, name)) && Date.now() < deadline)
      await Bun.sleep(50);
}

/** The groups of pods that are left, for a check. */
export function podGroups(name: string): string[] {
  return hierarchies()
    .flatMap((hierarchy) => below(join(hierarchy, name)))
    .filter((path) => /\/pod[0-9a-f-]{36}(\/|$)/.test(path));
}

function hierarchies(): string[] {
  if (existsSync(join(root, "cgroup.controllers"))) return [root];
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(root, name))
    .filter((path) => existsSync(join(path, "cgroup.procs")));
}

function inherit(file: string, from: string): void {
  if (existsSync(file) && existsSync(from))
    writeFileSync(file, readFileSync(from, "utf8"));
}

/** Whether it is gone. */
function removeTree(directory: string): boolean {
  for (const child of below(directory).toReversed())
    if (!removed(child)) return false;
  return removed(directory);
}

function removed(directory: string): boolean {
  try {
    rmdirSync(directory);
  } catch (error) {
    return errnoOf(error) === "ENOENT";
  }
  return true;
}

/** Parents first. A group may go meanwhile: the kubelet removes those of pods. */
function below(directory: string): string[] {
  return entriesOf(directory)
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(directory, name))
    .flatMap((path) => [path, ...below(path)]);
}

function entriesOf(directory: string) {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}
