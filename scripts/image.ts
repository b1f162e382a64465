/**
 * `image.ts [--name NAME]` writes dist/genie-image.tar, an OCI archive for amd64 and
 * arm64, from the executables of `make executables`. Each image has two layers: the C
 * library of Debian with which the executable runs, and the executables: `/genie` and
 * `/genie-musl`, of which `genie install` puts the one for the node's C library onto it.
 */
import {
  chmodSync,
  copyFileSync,
  cpSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { license, version } from "../package.json";
import { extractPackage } from "./debian.ts";
import { type Architecture, type Image, OciLayout, tagOf } from "./oci.ts";
import { run } from "./run.ts";
import { type Target, targets } from "./targets.ts";
import { verifyFile } from "./verify.ts";

const root = resolve(import.meta.dir, "..");
const dist = join(root, "dist");

const { values: options } = parseArgs({
  options: {
    // A registry that we do not own is never a default.
    name: { type: "string", default: `localhost/genie:${version}` },
    out: { type: "string", default: join(dist, "genie-image.tar") },
  },
});

// Before everything else: the layers take long.
tagOf(options.name);

/** An architecture: the executable that is linked with glibc, and the one for musl. */
const platforms: readonly [Architecture, glibc: string, musl: string][] = [
  ["amd64", "linux-x64-baseline", "linux-x64-baseline-musl"],
  ["arm64", "linux-arm64", "linux-arm64-musl"],
];

const revision = await git("rev-parse", "HEAD");
const time = Number(await git("log", "-1", "--format=%ct")) || 0;
const scratch = mkdtempSync(join(dist, ".image-"));
try {
  using layout = new OciLayout(scratch, time);
  const images: Image[] = [];
  for (const [architecture, glibc, musl] of platforms) {
    const libc = await librariesOf(architecture, targetOf(glibc));
    const files = join(scratch, `files-${architecture}`);
    await place(targetOf(glibc), join(files, "genie"));
    await place(targetOf(musl), join(files, "genie-musl"));
    images.push({
      architecture,
      layers: [await layout.layer(libc.directory), await layout.layer(files)],
      entrypoint: ["/genie"],
      labels: {
        "org.opencontainers.image.title": "genie",
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.revision": revision,
        "org.opencontainers.image.licenses": license,
        "genie.libc6": libc.version,
      },
    });
    console.log(`${architecture}: genie ${version}, libc6 ${libc.version}`);
  }
  const archive = join(scratch, basename(options.out));
  await layout.write(options.name, images, archive);
  mkdirSync(dirname(options.out), { recursive: true });
  rmSync(options.out, { force: true });
  linkSync(archive, options.out);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
const content = await Bun.file(options.out).bytes();
const sum = new Bun.CryptoHasher("sha256").update(content).digest("hex");
console.log(`${options.out}: ${options.name}, sha256 ${sum}`);

/** The loader at the path that the executable names, and the libraries that it may need. */
async function librariesOf(architecture: Architecture, { elf }: Target) {
  const libc6 = await extractPackage("libc6", scratch, { architecture });
  const directory = join(scratch, `libc-${architecture}`);
  for (const path of [
    ...new Bun.Glob("**/*-linux-gnu/*.so*").scanSync({
      cwd: libc6.root,
      onlyFiles: false,
    }),
    "usr/share/doc/libc6/copyright",
  ]) {
    const from = join(libc6.root, path);
    if (!isNeeded(basename(path))) continue;
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    cpSync(from, join(directory, path), { dereference: true });
  }
  const loader = join(directory, elf.interpreter);
  if (!(await Bun.file(loader).exists())) {
    const name = basename(elf.interpreter);
    const found = [
      ...new Bun.Glob(`**/${name}`).scanSync({ cwd: directory }),
    ][0];
    if (found === undefined) throw new Error(`libc6 has no ${name}`);
    mkdirSync(dirname(loader), { recursive: true });
    copyFileSync(join(directory, found), loader);
  }
  return { directory, version: libc6.version };
}

/** glibc's own libraries; those of other programs (NSS modules, debugging) stay out. */
function isNeeded(name: string): boolean {
  return /^(?:ld-linux.*|lib(?:c|dl|m|pthread|rt|util))\.so\.\d+$|^copyright$/.test(
    name,
  );
}

async function place(target: Target, path: string): Promise<void> {
  const from = join(dist, target.name, "genie");
  await verifyFile(from, target.elf);
  mkdirSync(dirname(path), { recursive: true });
  copyFileSync(from, path);
  chmodSync(path, 0o755);
}

function targetOf(name: string): Target {
  const target = targets.find((row) => row.name === name);
  if (!target) throw new Error(`no target ${name}`);
  return target;
}

async function git(...args: string[]): Promise<string> {
  return (await run(["git", ...args], { cwd: root })).trim();
}
