/** Tar archives of which the same files give the same bytes. */
import { run } from "./run.ts";

/** `names` below `directory`, owned by root, with one time (seconds since 1970). */
export async function writeTar(
  directory: string,
  names: readonly string[],
  outfile: string,
  time: number,
): Promise<void> {
  await run([
    "tar",
    "--format=ustar",
    "--sort=name",
    `--mtime=@${time}`,
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    "--mode=u+rw,go=rX,a-s",
    "--directory",
    directory,
    "-cf",
    outfile,
    ...names,
  ]);
}
