/**
 * Verifies a compiled genie: the kind of file, the program in it, and, on this
 * machine, its response to VERSION. A failure stops the build.
 */
import { type ElfHeader, readElfHeader } from "../lib/linux/elf.ts";
import { describeElf } from "./targets.ts";

/** Where Bun's virtual file system has the program of an executable named genie. */
const program = "/$bunfs/root/genie";

/** Throws Error with the difference. */
export async function verifyFile(
  path: string,
  expected: ElfHeader,
): Promise<void> {
  const elf = await readElfHeader(path);
  if (!Bun.deepEquals(elf, expected)) {
    throw new Error(
      `failed to verify ${path}: expected ${describeElf(expected)}, got ${describeElf(elf)}`,
    );
  }
  // Without its program the file is a valid one all the same: plain Bun.
  const content = Buffer.from(await Bun.file(path).arrayBuffer());
  if (!content.includes(program)) {
    throw new Error(`failed to verify ${path}: it does not carry the program`);
  }
}

/** Executes it as a runtime that asks for the versions; throws Error when the answer is none. */
export function verifyAnswer(path: string): void {
  const env = { CNI_COMMAND: "VERSION" };
  const { exitCode, stdout, stderr } = Bun.spawnSync([path], {
    cwd: "/",
    env,
    stdin: "ignore",
  });
  const text = stdout.toString();
  if (exitCode === 0 && isVersionAnswer(text)) return;
  throw new Error(
    `failed to verify ${path}: exit ${exitCode}, answer ${text}${stderr.toString()}`,
  );
}

function isVersionAnswer(text: string): boolean {
  try {
    const answer: unknown = JSON.parse(text);
    return (
      typeof answer === "object" &&
      answer !== null &&
      "supportedVersions" in answer &&
      Array.isArray(answer.supportedVersions) &&
      answer.supportedVersions.length > 0
    );
  } catch {
    return false;
  }
}
