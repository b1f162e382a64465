/** Makes the release twice, and compares every file of SHA256SUMS. */
import { readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { run } from "./run.ts";

const root = resolve(import.meta.dir, "..");
const sums = [];
const head = await revision();
for (let i = 0; i < 2; i++) {
  rmSync(join(root, "dist"), { recursive: true, force: true });
  await run(["make", "release"], { cwd: root, seconds: 1200 });
  sums.push(readFileSync(join(root, "dist/SHA256SUMS"), "utf8").split("\n"));
}
if ((await revision()) !== head)
  throw new Error(
    "HEAD has changed meanwhile: its commit and time are in the release",
  );
const [first = [], second = []] = sums;
const different = first.filter((line) => !second.includes(line));
for (const line of different) console.log(`differs: ${line}`);
console.log(`${first.length - 1 - different.length} files are the same`);
process.exit(different.length === 0 ? 0 : 1);

function revision(): Promise<string> {
  return run(["git", "rev-parse", "HEAD"], { cwd: root });
}
