/**
 * A system call on a dead network mount never returns, so the first one runs on
 * another thread. The other checks run only if every directory responds.
 */
import { readdir } from "node:fs/promises";
import { dirname } from "node:path";
import { readConfDir } from "../../cni/confdir.ts";
import { type GenieConfig, readConfigForCleanup } from "../../select/config.ts";
import { type Directories, defaultDirectories } from "../node/directories.ts";
import { findOwn } from "../node/node-context.ts";
import { type Finding, fail, named } from "./check.ts";

/** Milliseconds. */
const mountMs = 5000;

/** Also checks the directories that our configuration names, once it can be read. */
export async function checkMounts(
  { host, confDir, binDir, dataDir = defaultDirectories.dataDir }: Directories,
  ms = mountMs,
  read: (directory: string) => Promise<unknown> = (path) => readdir(path),
): Promise<Finding[]> {
  const check = (directories: readonly string[]) => {
    const paths = new Set(directories.map((directory) => host.path(directory)));
    return Promise.all([...paths].map((path) => checkMount(path, ms, read)));
  };
  const findings = (await check([confDir, binDir, dataDir])).flat();
  if (findings.length > 0) return findings;
  const own = findOwn(readConfDir(host.path(confDir)));
  if (!own) return [];
  const config = readConfigForCleanup(own.plugin, () => {});
  return (await check(configured(config))).flat();
}

function configured(config: GenieConfig): string[] {
  const { kubeconfig, policy = {} } = config.kube;
  const { clientCertificate, clientKey, certificateAuthority } = policy;
  const files = [
    config.logFile,
    config.podResourcesSocket,
    kubeconfig,
    clientCertificate,
    clientKey,
    certificateAuthority,
  ];
  return [
    config.confDir,
    ...config.binDirs,
    config.dataDir,
    config.multusDir,
    config.multusConfDir,
    config.runtimeCacheDir,
    ...files.map((file) => (file === undefined ? "" : dirname(file))),
  ].filter((path) => path.startsWith("/"));
}

async function checkMount(
  directory: string,
  ms: number,
  read: (directory: string) => Promise<unknown>,
): Promise<Finding[]> {
  // Another check reports a directory that cannot be read.
  const responds = read(directory).then(
    () => true,
    () => true,
  );
  if (await Promise.race([responds, Bun.sleep(ms).then(() => false)]))
    return [];
  const found = `${directory} did not respond within ${ms / 1000} s: every ADD waits for it`;
  return [named("mounts", fail(found, "repair or unmount its file system"))];
}
