// What the story needs around it: the demo on free ports, two real browsers, and a TCP proxy between the student's
// browser and the tool that can cut every connection.
import { execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { chromium } from "playwright-core";
import { startDynamoDB } from "./lib/dynamodb.mjs";

/** How long the story waits for anything: generously. How long it took is printed; the bench judges. */
export const patience = 90_000;

export async function freePort() {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = /** @type {net.AddressInfo} */ (server.address());
  server.close();
  await once(server, "close");
  return port;
}

/** The built binary, and an environment without settings of our own for it. */
function vigil() {
  const bin = process.env.VIGIL_BIN;
  if (!bin || !existsSync(bin)) throw new Error("VIGIL_BIN must name the built vigil binary; run `make e2e`.");
  return { bin, env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("VIGIL_"))) };
}

/** Runs a command of vigil to its end and returns what it printed. */
export async function runVigil(...args) {
  const { bin, env } = vigil();
  const { stdout } = await promisify(execFile)(bin, args, { env });
  return stdout.trim();
}

/** Runs `vigil serve` until stop, ready when this returns. Its log is kept for when something fails. */
export async function startServe({ dir, port, adminPort }) {
  const { bin, env } = vigil();
  const tool = `http://localhost:${port}`;
  const store = `sqlite:${join(dir, "vigil.db")}`;
  const child = spawn(
    bin,
    [
      "serve",
      `--public-url=${tool}`,
      `--store=${store}`,
      `--listen=127.0.0.1:${port}`,
      `--admin-listen=127.0.0.1:${adminPort}`,
      "--log-format=text",
    ],
    { env, stdio: ["ignore", "ignore", "pipe"] },
  );
  let log = "";
  child.stderr.on("data", (b) => (log += b));
  const ended = once(child, "exit");
  const end = performance.now() + patience;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`vigil serve ended with ${child.exitCode}\n${log}`);
    const ready = await fetch(`http://127.0.0.1:${adminPort}/readyz`).then(
      (r) => r.ok,
      () => false,
    );
    if (ready) break;
    if (performance.now() > end) {
      child.kill("SIGKILL");
      throw new Error(`vigil serve is not ready\n${log}`);
    }
    await new Promise((r) => setTimeout(r, 50));
  }
  return {
    tool,
    store,
    log: () => log,
    async stop() {
      if (child.exitCode === null) child.kill("SIGTERM");
      const [code] = await ended;
      return code;
    },
  };
}

/**
 * Where a demo keeps the tool's state, as STORE says: sqlite (a file in its folder) or dynamodb (AWS's DynamoDB Local,
 * whose tables outlive the demo's restarts). env is for startDemo.
 */
export async function startStore() {
  const kind = process.env.STORE || "sqlite";
  if (kind === "sqlite") return { kind, env: {}, stop: async () => {} };
  if (kind !== "dynamodb") throw new Error(`STORE must be sqlite or dynamodb, not ${kind}.`);
  const service = await startDynamoDB({ freePort, patience });
  return {
    kind,
    env: {
      ...service.env,
      VIGIL_DEMO_STORE: `dynamodb:story?region=eu-central-1&endpoint=${service.url}`,
      VIGIL_KEY_SECRET: randomBytes(32).toString("base64"),
    },
    stop: service.stop,
  };
}

/** Runs `vigil demo` until stop. Its log is kept for when something fails. */
export async function startDemo({ dir, port, lmsPort, store = { env: {} }, args = [] }) {
  const { bin, env } = vigil();
  const child = spawn(bin, ["demo", "--dir", dir, "--port", String(port), "--lms-port", String(lmsPort), ...args], {
    env: { ...env, ...store.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  child.stderr.on("data", (b) => (log += b));
  const ended = once(child, "exit");
  await new Promise((resolve, reject) => {
    let out = "";
    child.stdout.on("data", (b) => {
      out += b;
      if (out.includes("Ctrl+C")) resolve(undefined);
    });
    child.on("exit", (code) => reject(new Error(`vigil demo ended with ${code}\n${log}`)));
  });
  return {
    tool: `http://localhost:${port}`,
    lms: `http://127.0.0.1:${lmsPort}`,
    log: () => log,
    async stop() {
      if (child.exitCode === null) child.kill("SIGTERM");
      const [code] = await ended;
      return code;
    },
    async kill() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** A proxy whose connections can be reset and whose door can be shut. */
export async function startProxy(target) {
  const open = new Set();
  let shut = false;
  const server = net.createServer((down) => {
    if (shut) {
      down.resetAndDestroy();
      return;
    }
    const up = net.connect(target, "127.0.0.1");
    const both = [down, up];
    open.add(both);
    const end = () => {
      open.delete(both);
      down.destroy();
      up.destroy();
    };
    down.on("error", end).on("close", end);
    up.on("error", end).on("close", end);
    down.pipe(up);
    up.pipe(down);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: /** @type {net.AddressInfo} */ (server.address()).port,
    /** Resets every connection and refuses new ones until mend. */
    cut() {
      shut = true;
      for (const [down, up] of open) {
        down.resetAndDestroy();
        up.resetAndDestroy();
      }
    },
    mend() {
      shut = false;
    },
    async stop() {
      shut = true;
      for (const [down, up] of open) {
        down.destroy();
        up.destroy();
      }
      server.close();
      await once(server, "close");
    },
  };
}

/**
 * A browser of its own. route sends the tool's host to another port, as a network in between would; with only, no other host is
 * there (intercepting requests would keep the browser from caching). With slows, timers of a page that is hidden are slowed down, as in
 * everybody's browser; Playwright's have that off.
 */
export async function startBrowser({ route, only, slows = false } = {}) {
  const executablePath = process.env.CHROMIUM;
  if (!executablePath) throw new Error("CHROMIUM must name the browser; run `make e2e`.");
  return chromium.launch({
    executablePath,
    ignoreDefaultArgs: slows
      ? ["--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding"]
      : [],
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      ...(route ? [`--host-resolver-rules=MAP ${route.from} ${route.to}`] : []),
      ...(only ? [`--host-resolver-rules=MAP * ~NOTFOUND${only.map((host) => `, EXCLUDE ${host}`).join("")}`] : []),
    ],
  });
}

/** Everything the story starts, stopped again in the reverse order whatever happens. */
export async function stage(run) {
  const undo = [];
  const dir = await mkdtemp(join(tmpdir(), "vigil-e2e-"));
  undo.push(() => rm(dir, { recursive: true, force: true }));
  try {
    return await run({ dir, cleanup: (f) => undo.push(f) });
  } finally {
    for (const f of undo.reverse()) await f();
  }
}

/** Gathers what must not happen on a page: errors of its scripts and of its content security policy. */
export function watchErrors(page, into, name, allow = () => false) {
  page.on("pageerror", (e) => into.push(`${name}: ${e.message}`));
  page.on("console", (m) => {
    if (m.type() === "error" && !allow(m.text())) into.push(`${name}: ${m.text()}`);
  });
}

const took = [];

/** Does one step of the story and says how long it took. */
export async function step(name, f) {
  const begin = performance.now();
  const out = await f();
  const ms = Math.round(performance.now() - begin);
  took.push([name, ms]);
  console.log(`# ${String(ms).padStart(6)} ms  ${name}`);
  return out;
}

/** Waits for the words of the student's status pill. */
export async function pill(page, words) {
  await page.getByRole("region", { name: "Exam proctoring" }).getByText(words).first().waitFor({ timeout: patience });
}

/** Gives a command from the detail panel, which asks for details in a dialog first. */
export async function command(dashboard, detail, name, fill, confirm) {
  await detail.getByRole("group", { name: "Commands" }).getByRole("button", { name, exact: true }).click();
  const ask = dashboard.getByRole("dialog");
  await ask.waitFor({ timeout: patience });
  await fill(ask);
  await ask.getByRole("button", { name: confirm, exact: true }).click();
}

/** Tries an assertion again and again until it holds. */
export async function until(check) {
  const end = performance.now() + patience;
  for (;;) {
    try {
      return await check();
    } catch (e) {
      if (performance.now() > end) throw e;
      await new Promise((r) => setTimeout(r, 100));
    }
  }
}
