/**
 * Completes a release in dist, beside the executables and the image that are there: the
 * chart, the bill of materials, the notes, and SHA256SUMS of everything. The same
 * commit gives the same bytes.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { devDependencies, license, version } from "../package.json";
import { labelsOf } from "./oci.ts";
import { releaseNotes } from "./release-notes.ts";
import { run } from "./run.ts";
import { billOfMaterials } from "./sbom.ts";
import { targets } from "./targets.ts";
import { writeTar } from "./tar.ts";

const root = resolve(import.meta.dir, "..");
const dist = join(root, "dist");
const time = Number(await git("log", "-1", "--format=%ct"));

const chart = `genie-${version}.tgz`;
const bill = `genie-${version}.cdx.json`;
const notes = "RELEASE_NOTES.md";
const image = "genie-image.tar";

await writeChart();
write(
  bill,
  `${JSON.stringify(
    billOfMaterials({
      name: "genie",
      version,
      license,
      commit: await git("rev-parse", "HEAD"),
      time,
      lock: readFileSync(join(root, "package-lock.json"), "utf8"),
      bundled: await bundledPackages(),
      bun: devDependencies.bun,
      libc6: await libc6OfImage(),
    }),
    null,
    2,
  )}\n`,
);
const changelog = readFileSync(join(root, "CHANGELOG.md"), "utf8");
write(notes, releaseNotes(changelog, version));

const files = [
  ...targets.map(({ name }) => `${name}/genie`),
  image,
  chart,
  bill,
  notes,
];
const sums = files.map((file) => `${sha256(join(dist, file))}  ${file}\n`);
write("SHA256SUMS", sums.join(""));
console.log(sums.join("").trim());

/** As `helm package` writes it, but with fixed times and owners. */
async function writeChart(): Promise<void> {
  const tar = join(dist, ".chart.tar");
  try {
    await writeTar(join(root, "deploy/helm"), ["genie"], tar, time);
    const compressed = Bun.gzipSync(readFileSync(tar), { level: 9 });
    writeFileSync(join(dist, chart), compressed);
  } finally {
    rmSync(tar, { force: true });
  }
}

/** Directories of npm packages of which the executables have a module. */
async function bundledPackages(): Promise<string[]> {
  const scratch = mkdtempSync(join(dist, ".bundle-"));
  try {
    const { metafile } = await Bun.build({
      entrypoints: [join(root, "genie.ts")],
      root,
      target: "bun",
      format: "esm",
      splitting: true,
      metafile: true,
      outdir: scratch,
      define: { GENIE_VERSION: '""', GENIE_LIBC: '""', GENIE_COMMIT: '""' },
    });
    const found = Object.keys(metafile?.inputs ?? {}).flatMap(
      (path) =>
        /node_modules\/(?:.*\/node_modules\/)?(?:@[^/]+\/)?[^/]+/.exec(
          path,
        )?.[0] ?? [],
    );
    return [...new Set(found)];
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** The image's own labels, by architecture. */
async function libc6OfImage(): Promise<Record<string, string>> {
  const labels = await labelsOf(join(dist, image));
  return Object.fromEntries(
    Object.entries(labels).map(([architecture, each]) => [
      architecture,
      each["genie.libc6"] ?? "",
    ]),
  );
}

function write(name: string, text: string): void {
  writeFileSync(join(dist, name), text);
}

function sha256(path: string): string {
  const hasher = new Bun.CryptoHasher("sha256");
  return hasher.update(readFileSync(path)).digest("hex");
}

async function git(...args: string[]): Promise<string> {
  return (await run(["git", ...args], { cwd: root })).trim();
}
