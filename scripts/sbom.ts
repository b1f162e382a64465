/**
 * The bill of materials of a release, CycloneDX 1.6: npm packages of which the bundle
 * has a module, with versions and digests of the lock file; Bun, upon which every
 * executable is built; Debian's libc6 of the images. Pure.
 */
import * as v from "valibot";

const lockFile = v.object({
  packages: v.record(
    v.string(),
    v.looseObject({
      version: v.optional(v.string()),
      license: v.optional(v.string()),
      integrity: v.optional(v.string()),
    }),
  ),
});

export interface Materials {
  name: string;
  version: string;
  license: string;
  commit: string;
  /** The time of the commit, in seconds: a bill of the same commit is the same. */
  time: number;
  /** Text of package-lock.json. */
  lock: string;
  /** Directories below the root from which the bundle has modules: `node_modules/valibot`. */
  bundled: readonly string[];
  /** The version of the runtime. */
  bun: string;
  /** Versions of libc6 by architecture. */
  libc6: Readonly<Record<string, string>>;
}

interface Component {
  type: "library" | "platform";
  "bom-ref": string;
  name: string;
  version: string;
  purl: string;
  licenses?: object[];
  hashes?: object[];
}

/** Throws Error for a bundled package that is not in the lock file. */
export function billOfMaterials(materials: Materials): object {
  const { name, version, license, commit, time, bun, libc6 } = materials;
  const lock = v.parse(lockFile, JSON.parse(materials.lock));
  const components: Component[] = [
    ...materials.bundled.toSorted().map((path) => {
      const entry = lock.packages[path];
      if (!entry?.version) throw new Error(`${path} is not in the lock file`);
      return npmComponent(path, entry.version, entry);
    }),
    component("platform", "bun", bun, `pkg:github/oven-sh/bun@bun-v${bun}`),
    ...Object.entries(libc6).map(([architecture, libcVersion]) =>
      component(
        "library",
        "libc6",
        libcVersion,
        `pkg:deb/debian/libc6@${encodeURIComponent(libcVersion)}?arch=${architecture}`,
      ),
    ),
  ];
  const ref = `pkg:generic/${name}@${version}`;
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      timestamp: new Date(time * 1000).toISOString(),
      component: {
        type: "application",
        "bom-ref": ref,
        name,
        version,
        purl: ref,
        licenses: [{ expression: license }],
        properties: [{ name: "genie:commit", value: commit }],
      },
    },
    components,
    dependencies: [{ ref, dependsOn: components.map((one) => one["bom-ref"]) }],
  };
}

function component(
  type: Component["type"],
  name: string,
  version: string,
  purl: string,
): Component {
  return { type, "bom-ref": purl, name, version, purl };
}

function npmComponent(
  path: string,
  version: string,
  { license, integrity }: v.InferOutput<typeof lockFile>["packages"][string],
): Component {
  const name = path.replace(/^.*node_modules\//, "");
  const purl = `pkg:npm/${name.replace(/^@/, "%40")}@${version}`;
  const [, sha512] = /^sha512-(\S+)/.exec(integrity ?? "") ?? [];
  return {
    ...component("library", name, version, purl),
    ...(license !== undefined && { licenses: [{ expression: license }] }),
    ...(sha512 !== undefined && {
      hashes: [
        {
          alg: "SHA-512",
          content: Buffer.from(sha512, "base64").toString("hex"),
        },
      ],
    }),
  };
}
