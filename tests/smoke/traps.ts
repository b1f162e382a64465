/**
 * A directory in which everything that a program compiled by Bun might read from
 * its working directory is a trap: it leaves a mark, or it says something else.
 */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export class Traps implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "genie-traps-"));
  readonly #marks = mkdtempSync(join(tmpdir(), "genie-marks-"));

  constructor() {
    for (const [path, text] of Object.entries(this.#files())) {
      const file = join(this.directory, path);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
    }
  }

  /** Which traps have been stepped into. */
  marks(): string[] {
    return readdirSync(this.#marks).toSorted();
  }

  /** The files of the directory, which must not change. */
  listing(): string[] {
    return readdirSync(this.directory, {
      recursive: true,
      encoding: "utf8",
    }).toSorted();
  }

  /** Variables of a hostile or merely unlucky environment that must not count. */
  env(): Record<string, string> {
    return {
      NODE_ENV: "development",
      NODE_OPTIONS: `--require ${join(this.directory, "trap.cjs")}`,
      NODE_PATH: join(this.directory, "node_modules"),
      NODE_DEBUG: "*",
      DEBUG: "*",
      NODE_TLS_REJECT_UNAUTHORIZED: "0",
      NODE_EXTRA_CA_CERTS: join(this.directory, "trap.pem"),
      SSL_CERT_FILE: join(this.directory, "trap.pem"),
      HTTP_PROXY: "http://127.0.0.1:9",
      HTTPS_PROXY: "http://127.0.0.1:9",
      ALL_PROXY: "http://127.0.0.1:9",
      https_proxy: "http://127.0.0.1:9",
      BUN_CONFIG_VERBOSE_FETCH: "curl",
      BUN_INSPECT_PRELOAD: join(this.directory, "preload.ts"),
      BUN_RUNTIME_TRANSPILER_CACHE_PATH: join(this.directory, "cache"),
      FORCE_COLOR: "3",
      TMPDIR: join(this.directory, "missing"),
      XDG_CONFIG_HOME: this.directory,
    };
  }

  #files(): Record<string, string> {
    const code = (name: string) =>
      `require("node:fs").writeFileSync(${JSON.stringify(join(this.#marks, name))}, "");\n`;
    const variables =
      "CNI_COMMAND=NOPE\nCNI_CONTAINERID=/\nCNI_PATH=/nowhere\nBUN_TRAP=1\n";
    const manifest = { name: "trap", type: "commonjs", main: "index.js" };
    return {
      "bunfig.toml":
        'preload = ["./preload.ts"]\n[run]\nbun = true\n[test]\npreload = ["./preload.ts"]\n',
      ".bunfig.toml": 'preload = ["./preload.ts"]\n',
      "bun/config.toml": 'preload = ["./preload.ts"]\n',
      "preload.ts": code("preload"),
      "trap.cjs": code("NODE_OPTIONS"),
      ".env": variables,
      ".env.local": variables,
      ".env.development": variables,
      ".env.production": variables,
      "package.json": JSON.stringify({
        ...manifest,
        imports: { "#*": "./preload.ts" },
      }),
      "tsconfig.json": JSON.stringify({
        compilerOptions: {
          baseUrl: ".",
          paths: { "*": ["./preload.ts"], valibot: ["./preload.ts"] },
        },
      }),
      "node_modules/valibot/package.json": JSON.stringify(manifest),
      "node_modules/valibot/index.js": code("valibot"),
      "node_modules/@kubernetes/client-node/package.json":
        JSON.stringify(manifest),
      "node_modules/@kubernetes/client-node/index.js": code("client-node"),
      "genie.ts": code("genie.ts"),
      "lib/attach/plugin.ts": code("plugin.ts"),
      // No library: loading it fails, also where the real one would have been found later.
      "libc.so.6": "not a library\n",
      "libc.musl-x86_64.so.1": "not a library\n",
      "libc.musl-aarch64.so.1": "not a library\n",
      "trap.pem": "no certificate\n",
    };
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
    rmSync(this.#marks, { recursive: true, force: true });
  }
}
