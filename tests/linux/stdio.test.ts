/** state.md "Time": the standard streams, in a process of their own because they are a process's. */
import { closeSync, constants, openSync } from "node:fs";
import { describe, expect, test } from "bun:test";
import { stdinLimits } from "../../lib/linux/stdio.ts";
import { temporaryDirectory } from "../support/delegate.ts";

const module = JSON.stringify(import.meta.resolve("../../lib/linux/stdio.ts"));

/** A process that runs this text with what `stdio` exports. */
function start<
  const In extends Bun.Spawn.Writable,
  const Out extends Bun.Spawn.Readable,
  const Err extends Bun.Spawn.Readable,
>(text: string, stdio: [In, Out, Err]): Bun.Subprocess<In, Out, Err> {
  const program = `
    import { readStdin, writeStderr, writeStdout } from ${module};
    ${text}`;
  return Bun.spawn({
    cmd: [process.execPath, "-e", program],
    env: { PATH: process.env["PATH"] },
    stdio,
  });
}

/** Prints what was read as length and digest, or the error. */
const readAll = (limits: string) => `
  try {
    const bytes = readStdin(${limits});
    await writeStdout(bytes.length + " " + Bun.hash(bytes));
  } catch (error) {
    await writeStdout("error: " + error.message);
  }`;

const summary = (bytes: Uint8Array) => `${bytes.length} ${Bun.hash(bytes)}`;

/** A FIFO in a directory, and its writing end. */
function fifo(directory: string): { path: string; writer: number } {
  const path = `${directory}/fifo`;
  expect(Bun.spawnSync(["mkfifo", path]).exitCode).toBe(0);
  return { path, writer: openSync(path, constants.O_RDWR) };
}

describe("readStdin", () => {
  test.each([0, 1, 100_000, 5 << 20])("reads %d bytes", async (size) => {
    const bytes = new Uint8Array(size).map((_, i) => i % 251);
    const child = start(readAll(""), [new Blob([bytes]), "pipe", "inherit"]);
    expect(await child.stdout.text()).toBe(summary(bytes));
  });

  test("reads a pipe that is written bit by bit", async () => {
    const child = start(readAll(""), ["pipe", "pipe", "inherit"]);
    for (const part of ["{", '"a"', ":1}"]) {
      void child.stdin.write(part);
      await child.stdin.flush();
    }
    await child.stdin.end();
    expect(await child.stdout.text()).toBe(summary(Buffer.from('{"a":1}')));
  });

  test("reads a pipe that is non-blocking", async () => {
    using directory = temporaryDirectory();
    const { path, writer } = fifo(directory.path);
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const child = start(readAll(""), [reader, "pipe", "inherit"]);
    await Bun.write(Bun.file(writer), "text");
    closeSync(writer);
    closeSync(reader);
    expect(await child.stdout.text()).toBe(summary(Buffer.from("text")));
  });

  test("reads a file", async () => {
    using directory = temporaryDirectory();
    const path = `${directory.path}/request`;
    await Bun.write(path, "x".repeat(200_000));
    const child = start(readAll(""), [Bun.file(path), "pipe", "inherit"]);
    const expected = summary(Buffer.from("x".repeat(200_000)));
    expect(await child.stdout.text()).toBe(expected);
  });

  test("gives up on an input that does not end", async () => {
    using directory = temporaryDirectory();
    const { path, writer } = fifo(directory.path);
    const reader = openSync(path, constants.O_RDONLY);
    const limits = "{ ms: 50, bytes: 1 << 20 }";
    const child = start(readAll(limits), [reader, "pipe", "inherit"]);
    const said = await child.stdout.text();
    closeSync(reader);
    closeSync(writer);
    expect(said).toBe("error: no end of input within 0.05 s");
  });

  test.each([
    [1 << 20, summary(new Uint8Array(1 << 20))],
    [(1 << 20) + 1, "error: more than 1 MiB"],
  ])("judges %d bytes where one MiB is the limit: %s", async (size, said) => {
    const limits = "{ ms: 10000, bytes: 1 << 20 }";
    const input = new Blob([new Uint8Array(size)]);
    const child = start(readAll(limits), [input, "pipe", "inherit"]);
    expect(await child.stdout.text()).toBe(said);
  });

  test("has the limits of state.md", () => {
    expect(stdinLimits).toEqual({ ms: 10_000, bytes: 16 * 1024 * 1024 });
  });
});

describe("writeStdout", () => {
  test("writes everything before the process ends, also by a pipe", async () => {
    const text = `await writeStdout("x".repeat(3 << 20)); process.exit(0);`;
    const child = start(text, ["ignore", "pipe", "inherit"]);
    expect(await child.stdout.text()).toBe("x".repeat(3 << 20));
  });
});

describe("writeStderr", () => {
  test("writes everything to a reader", async () => {
    const text = `writeStderr("é".repeat(300000)); process.exit(0);`;
    const child = start(text, ["ignore", "ignore", "pipe"]);
    expect(await child.stderr.text()).toBe("é".repeat(300_000));
  });

  test("a reader that does not read delays one text by a second, not each", async () => {
    using directory = temporaryDirectory();
    const { writer } = fifo(directory.path);
    const text = `
      const start = performance.now();
      for (let i = 0; i < 10; i++) writeStderr("x".repeat(1 << 20));
      await writeStdout(String(performance.now() - start));`;
    const child = start(text, ["ignore", "pipe", writer]);
    const took = Number(await child.stdout.text());
    closeSync(writer);
    expect(took).toBeWithin(900, 5000);
  });

  test("a closed stderr is no error", async () => {
    const text = `
      require("node:fs").closeSync(2);
      writeStderr("word");
      await writeStdout("alive");`;
    const child = start(text, ["ignore", "pipe", "ignore"]);
    expect(await child.stdout.text()).toBe("alive");
  });
});
