/**
 * The libraries of a musl system, which no one Debian package has: musl of Debian
 * 13 (the one of 12 is too old for Bun) and the C++ library that musllinux wheels of
 * Python carry.
 */
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { extractPackage } from "../../scripts/debian.ts";
import { run } from "../../scripts/run.ts";

/** A wheel with libstdc++ and libgcc_s; its own program is not used. */
const wheel =
  "numpy==2.5.5 --hash=sha256:7fb87c4bcc73850ef433a0c42f096b010d3d3d284e9d00028bb030b43df3d078";

/** Puts the loader, musl and the C++ library into a directory that is to be laid over /usr/lib. */
export async function muslLibraries(
  directory: string,
  scratch: string,
): Promise<void> {
  const musl = await extractPackage("musl", scratch, {
    architecture: "amd64",
    suite: "trixie",
  });
  const libc = join(musl.root, "usr/lib/x86_64-linux-musl/libc.so");
  const loader = "ld-musl-x86_64.so.1";
  copyFileSync(libc, join(directory, loader));
  // Where Debian's own musl is installed, its loader looks only here.
  const own = join(directory, "x86_64-linux-musl");
  mkdirSync(own);
  for (const place of [directory, own]) {
    copyFileSync(libc, join(place, "libc.musl-x86_64.so.1"));
    for (const path of await cppLibraries(scratch)) {
      const name = basename(path);
      copyFileSync(path, join(place, name));
      // libstdc++-5d72f927.so.6.0.33 is what programs ask for as libstdc++.so.6.
      const [, stem, version] =
        /^(\w+(?:\+\+)?)-\w+\.so\.(\d+)/.exec(name) ?? [];
      if (stem) copyFileSync(path, join(place, `${stem}.so.${version}`));
    }
  }
}

async function cppLibraries(scratch: string): Promise<string[]> {
  const directory = join(scratch, "wheel");
  mkdirSync(directory, { recursive: true });
  const requirements = join(directory, "requirements.txt");
  writeFileSync(requirements, `${wheel}\n`);
  await run([
    "python3",
    "-m",
    "pip",
    "download",
    "--quiet",
    "--require-hashes",
    "--no-deps",
    "--only-binary=:all:",
    "--platform=musllinux_1_2_x86_64",
    "--python-version=3.12",
    "--implementation=cp",
    "--abi=cp312",
    "--dest",
    directory,
    "--requirement",
    requirements,
  ]);
  const files = new Bun.Glob("*.whl").scanSync({ cwd: directory });
  for (const file of files)
    await run(["python3", "-m", "zipfile", "-e", file, "."], {
      cwd: directory,
    });
  return [
    ...new Bun.Glob("*.libs/lib{stdc++,gcc_s}-*").scanSync({
      cwd: directory,
      absolute: true,
    }),
  ];
}
