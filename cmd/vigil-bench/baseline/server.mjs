// The published design of a live proctoring server, written as its readers would write it
// well: Node's cluster, the ws library, one Redis pub/sub channel an exam, and ws's own
// heartbeat. It checks no token and stores nothing, which Vigil does: that favours it.
//
// Settings come from the environment: HOST, PORT, WORKERS, REDIS_URL, HEARTBEAT_MS.
import cluster from "node:cluster";
import http from "node:http";
import process from "node:process";
import { Redis } from "ioredis";
import { WebSocket, WebSocketServer } from "ws";

const setting = (name) => {
  const value = process.env[name];
  if (!value) {
    console.error(`${name} is not set`);
    process.exit(2);
  }
  return value;
};

if (cluster.isPrimary) {
  const workers = Number(setting("WORKERS"));
  for (let i = 0; i < workers; i++) cluster.fork();
  let stopping = false;
  cluster.on("exit", (worker, code, signal) => {
    if (stopping) return;
    console.error(`worker ${worker.process.pid} ended (${signal ?? code}); starting another`);
    cluster.fork();
  });
  let listening = 0;
  cluster.on("listening", () => {
    if (++listening === workers) console.log("ready");
  });
  for (const signal of ["SIGTERM", "SIGINT"]) {
    process.on(signal, () => {
      stopping = true;
      for (const worker of Object.values(cluster.workers)) worker.process.kill("SIGTERM");
      process.exit(0);
    });
  }
} else {
  serve();
}

function serve() {
  const url = setting("REDIS_URL");
  const publisher = new Redis(url, { enableAutoPipelining: true });
  const subscriber = new Redis(url);
  for (const redis of [publisher, subscriber]) redis.on("error", (error) => console.error("redis:", error.message));

  /** The dashboards of each channel on this worker. @type {Map<string, Set<WebSocket>>} */
  const dashboards = new Map();
  subscriber.on("messageBuffer", (channel, message) => {
    const list = dashboards.get(channel.toString());
    if (!list) return;
    for (const ws of list) if (ws.readyState === WebSocket.OPEN) ws.send(message, { binary: false });
  });

  const publish = (channel, message) => {
    publisher.publish(channel, JSON.stringify(message)).catch((error) => console.error("publish:", error.message));
  };

  const slots = 100;
  let nextSlot = 0;

  const student = (ws, channel, session) => {
    let stream = "";
    let navigating = false;
    ws.on("message", (data) => {
      let frame;
      try {
        frame = JSON.parse(data);
      } catch {
        ws.close(1007);
        return;
      }
      if (frame.t === "hello") {
        stream = frame.stream;
        publish(channel, { t: "session", row: { id: session, conn: { c: "online", since: Date.now(), page: frame.page } } });
      } else if (frame.t === "bye") {
        navigating = frame.reason === "navigating";
      } else if (frame.t === "signal") {
        publish(channel, {
          t: "signal",
          session,
          stream,
          seq: frame.seq,
          kind: frame.kind,
          severity: 0.1,
          at: frame.at,
          recv: Date.now(),
          data: frame.data,
        });
      }
    });
    // A page turn is no loss. Who does not come back after one is never told lost: that would be one more duty.
    ws.on("close", () => {
      if (!navigating) publish(channel, { t: "session", row: { id: session, conn: { c: "lost", since: Date.now() } } });
    });
    ws.send('{"t":"welcome","role":"student"}');
  };

  const proctor = async (ws, channel) => {
    let list = dashboards.get(channel);
    if (!list) {
      list = new Set();
      dashboards.set(channel, list);
    }
    list.add(ws);
    ws.on("close", () => {
      list.delete(ws);
      if (list.size === 0 && dashboards.get(channel) === list) {
        dashboards.delete(channel);
        subscriber.unsubscribe(channel).catch((error) => console.error("unsubscribe:", error.message));
      }
    });
    await subscriber.subscribe(channel);
    ws.send('{"t":"welcome","role":"proctor"}');
  };

  const server = http.createServer((request, response) => {
    response.writeHead(request.url === "/health" ? 200 : 404).end();
  });
  const wss = new WebSocketServer({ server, path: "/socket", perMessageDeflate: false, maxPayload: 64 * 1024 });
  wss.on("connection", (ws, request) => {
    const query = new URL(request.url, "http://localhost").searchParams;
    const channel = `exam:${query.get("exam")}`;
    ws.isAlive = true;
    ws.slot = nextSlot++ % slots;
    ws.on("pong", () => {
      ws.isAlive = true;
    });
    ws.on("error", () => {}); // close follows
    if (query.get("role") === "proctor") {
      proctor(ws, channel).catch((error) => {
        console.error("subscribe:", error.message);
        ws.close(1011);
      });
    } else {
      student(ws, channel, query.get("session"));
    }
  });

  // As in ws's manual, but spread over the interval: all pings at once would hold up everything else.
  let turn = 0;
  setInterval(
    () => {
      turn = (turn + 1) % slots;
      for (const ws of wss.clients) {
        if (ws.slot !== turn) continue;
        if (!ws.isAlive) {
          ws.terminate();
          continue;
        }
        ws.isAlive = false;
        ws.ping();
      }
    },
    Number(setting("HEARTBEAT_MS")) / slots,
  );

  server.listen({ host: setting("HOST"), port: Number(setting("PORT")), backlog: 4096 });
  process.on("SIGTERM", () => process.exit(0));
}
