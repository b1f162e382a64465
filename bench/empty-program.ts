/**
 * The program that does nothing, compiled with the flags of genie upon the same
 * Bun: the unit of the bench.
 */
import { join } from "node:path";
import { compile } from "../scripts/compile.ts";
import { readElfHeader } from "../lib/linux/elf.ts";
import { targetFor } from "../scripts/targets.ts";

/** Its path, in `directory`. */
export async function compileEmpty(directory: string): Promise<string> {
  const outfile = join(directory, "empty");
  const target = targetFor(await readElfHeader(process.execPath));
  await compile({
    entry: join(import.meta.dir, "empty.ts"),
    outfile,
    target: target.bun,
    runtime: process.execPath,
    constants: {},
  });
  return outfile;
}
