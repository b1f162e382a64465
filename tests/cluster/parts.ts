/**
 * The executables of the cluster: Debian's where Debian has them, the others
 * built from Go modules (`modules/`) into a cache outside the tree. With
 * KUBEBUILDER_ASSETS set, what that directory has is taken instead.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
} from "node:fs";
import { availableParallelism, homedir } from "node:os";
import { join } from "node:path";
import { type Versioned, moduleOf, versionOf, versioned } from "./module.ts";
import { run } from "../../scripts/run.ts";

/** Paths by the names of the executables. */
export type Parts = (name: string) => string;

/** The version that Kubernetes' own build links into its executables. */
function kubernetesConstants(): Record<string, string> {
  const version = versionOf("kubernetes");
  const [major = "", minor = ""] = version.split(".");
  return {
    "k8s.io/component-base/version.gitVersion": `v${version}`,
    "k8s.io/component-base/version.gitMajor": major,
    "k8s.io/component-base/version.gitMinor": minor,
    "k8s.io/client-go/pkg/version.gitVersion": `v${version}`,
  };
}

/** Reference plugins that are newer than Debian's: they speak CNI 1.1.0. */
export const referencePlugins = ["host-local", "bridge", "ptp", "portmap"];

/** Directories of `modules/`, and what each makes. */
const modules: readonly Module[] = [
  {
    directory: "kubernetes",
    packages: ["tool"],
    makes: [
      "kube-apiserver",
      "kube-controller-manager",
      "kube-scheduler",
      "kubectl",
      "kubelet",
    ],
    constants: kubernetesConstants,
  },
  { directory: "flannel", packages: ["tool"], makes: ["flannel"] },
  {
    directory: "cni",
    packages: ["tool", "./crio"],
    makes: ["crio", ...referencePlugins],
  },
  {
    directory: "containerd",
    packages: ["tool"],
    makes: ["containerd", "containerd-shim-runc-v2"],
  },
];

interface Module {
  directory: string;
  /** For `go build`: "tool" is what go.mod names. */
  packages: readonly string[];
  makes: readonly string[];
  /** Strings that the linker sets. */
  constants?: () => Readonly<Record<string, string>>;
}

/** The name of the containerd that is built; Debian has one as well. */
export const newerContainerd = "containerd-newer";

const names = new Map([["containerd/containerd", newerContainerd]]);

/** Debian's, by its packages. */
const debian: Readonly<Record<string, readonly string[]>> = {
  containerd: ["containerd", "ctr"],
  runc: ["runc"],
  "etcd-server": ["etcd"],
  "busybox-static": ["busybox"],
  iproute2: ["ip"],
  openssl: ["openssl"],
  iptables: ["iptables"],
  "util-linux": ["unshare", "setpriv", "mount"],
};

/** Installs and builds what is missing; says what takes long. Throws Error with the words of the tools. */
export async function findParts(say: (text: string) => void): Promise<Parts> {
  await installDebian(say);
  const assets = process.env["KUBEBUILDER_ASSETS"];
  const given = (name: string): string | undefined => {
    const path = assets && join(assets, name);
    return path && existsSync(path) ? path : undefined;
  };
  const found = new Map<string, string>();
  for (const module of modules) {
    if (module.makes.every(given)) continue;
    const directory = await build(module, say);
    for (const name of module.makes) {
      const known = names.get(`${module.directory}/${name}`) ?? name;
      found.set(known, join(directory, name));
    }
  }
  return (name) => {
    const path = given(name) ?? found.get(name) ?? Bun.which(name);
    if (path === null) throw new Error(`${name} is missing`);
    return path;
  };
}

async function installDebian(say: (text: string) => void): Promise<void> {
  const missing = Object.entries(debian).flatMap(([name, executables]) =>
    executables.every((executable) => Bun.which(executable) !== null)
      ? []
      : [name],
  );
  if (!existsSync("/usr/lib/cni/bridge"))
    missing.push("containernetworking-plugins");
  if (missing.length === 0) return;
  say(`installing ${missing.join(", ")}`);
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  await run(["apt-get", "update", "-qq"], { env, seconds: 300 });
  await run(
    ["apt-get", "install", "-y", "-qq", "--no-install-recommends", ...missing],
    { env, seconds: 300 },
  );
}

/** Not a part of the cluster: it renders the chart. */
const helmModule: Module = {
  directory: "helm",
  packages: ["tool"],
  makes: ["helm"],
};

/** The path of the real helm, built at first. */
export async function findHelm(say: (text: string) => void): Promise<string> {
  return join(await build(helmModule, say), "helm");
}

/** The directory with its executables. The same sources and compiler are built once. */
async function build(
  { directory, packages, makes, constants: constantsOf }: Module,
  say: (text: string) => void,
): Promise<string> {
  const constants = constantsOf?.() ?? {};
  const source =
    directory in versioned
      ? await moduleOf(directory as Versioned, cache())
      : join(import.meta.dir, "modules", directory);
  const digest = await digestOf(source, constants);
  const target = join(cache(), `${directory}-${digest}`);
  if (existsSync(target)) return target;
  say(`building ${makes.join(", ")}`);
  const scratch = `${target}.${process.pid}`;
  mkdirSync(scratch, { recursive: true });
  try {
    const flags = Object.entries(constants).map(
      ([key, value]) => `-X ${key}=${value}`,
    );
    await run(
      [
        "nice",
        "-n",
        "19",
        "go",
        "build",
        "-trimpath",
        "-buildvcs=false",
        "-p",
        `${availableParallelism()}`,
        "-mod=readonly",
        `-ldflags=${["-s", "-w", ...flags].join(" ")}`,
        "-o",
        `${scratch}/`,
        ...packages,
      ],
      { cwd: source, env: { CGO_ENABLED: "0" }, seconds: 3000 },
    );
    renameSync(scratch, target);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return target;
}

function cache(): string {
  const home = process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache");
  return join(home, "genie-cluster");
}

async function digestOf(source: string, constants: object): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256")
    .update(await run(["go", "version"]))
    .update(JSON.stringify(constants));
  const files = readdirSync(source, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  for (const file of files.toSorted())
    hasher.update(await Bun.file(file).bytes());
  return hasher.digest("hex").slice(0, 12);
}
