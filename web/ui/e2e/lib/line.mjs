// A student's line to Moodle and to Vigil: an HTTP proxy on this machine whose line can stand still, as where a Wi-Fi loses every
// packet, or be cut. Only what runs on this machine is behind it.
import { once } from "node:events";
import http from "node:http";
import net from "node:net";

const local = (host) => (["localhost", "127.0.0.1"].includes(host) ? "127.0.0.1" : null);

/** The proxy itself: pages by their address, sockets by a tunnel. */
async function startProxy() {
  const server = http.createServer((request, response) => {
    const url = new URL(request.url ?? "");
    const host = local(url.hostname);
    if (!host) return void response.writeHead(502).end();
    const { method, headers } = request;
    const up = http.request({ host, port: url.port, path: url.pathname + url.search, method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      answer.pipe(response);
    });
    up.on("error", () => response.destroy());
    response.on("close", () => up.destroy());
    request.pipe(up);
  });
  server.on("connect", (request, down, head) => {
    const url = new URL(`http://${request.url}`);
    const host = local(url.hostname);
    if (!host) return void down.end("HTTP/1.1 502 Bad Gateway\r\n\r\n");
    const up = net.connect(Number(url.port || 80), host, () => {
      down.write("HTTP/1.1 200 OK\r\n\r\n");
      up.write(head);
      down.pipe(up).pipe(down);
    });
    for (const [one, other] of [
      [up, down],
      [down, up],
    ])
      one.on("error", () => other.destroy()).on("close", () => other.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

/**
 * A line of one browser window. proxy is for Playwright's newContext.
 *
 * @returns {Promise<{ proxy: { server: string, bypass: string }, stand: () => void, cut: () => void, mend: () => void, stop: () => void }>}
 */
export async function startLine() {
  const behind = await startProxy();
  const target = /** @type {net.AddressInfo} */ (behind.address()).port;
  const open = new Set();
  /** @type {"open" | "stands" | "cut"} */
  let state = "open";
  const join = (pair) => {
    pair.down.pipe(pair.up);
    pair.up.pipe(pair.down);
  };
  const server = net.createServer((down) => {
    if (state === "cut") return void down.resetAndDestroy();
    const up = net.connect(target, "127.0.0.1");
    const pair = { down, up };
    open.add(pair);
    const end = () => {
      open.delete(pair);
      down.destroy();
      up.destroy();
    };
    down.on("error", end).on("close", end);
    up.on("error", end).on("close", end);
    if (state === "open") join(pair);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    proxy: {
      server: `http://127.0.0.1:${/** @type {net.AddressInfo} */ (server.address()).port}`,
      bypass: "<-loopback>", // or Chromium asks this machine itself
    },
    /** Nothing gets through until mend, and nobody is told. */
    stand() {
      state = "stands";
      for (const { down, up } of open) {
        down.unpipe(up).pause();
        up.unpipe(down).pause();
      }
    },
    /** Ends all connections and takes no other until mend. */
    cut() {
      state = "cut";
      for (const { down, up } of open) {
        down.resetAndDestroy();
        up.destroy();
      }
    },
    mend() {
      if (state === "stands") for (const pair of open) join(pair);
      state = "open";
    },
    stop() {
      for (const { down, up } of open) {
        down.destroy();
        up.destroy();
      }
      server.close();
      behind.close();
    },
  };
}
