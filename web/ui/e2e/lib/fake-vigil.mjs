// A stand-in for the LMS page and the server, so that the monitor can be tried in a real browser alone: it answers
// tokens, speaks just enough WebSocket, and keeps what students send.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** One WebSocket of the server's side: text frames and close only. */
class Peer {
  constructor(socket, onText, onClose) {
    this.socket = socket;
    this.buffer = Buffer.alloc(0);
    this.onText = onText;
    this.onClose = onClose;
    this.closed = false;
    socket.on("data", (data) => this.#read(data));
    socket.on("error", () => this.#end(1006));
    socket.on("close", () => this.#end(1006));
  }

  #end(code) {
    if (this.closed) return;
    this.closed = true;
    this.onClose(code);
  }

  #read(data) {
    this.buffer = Buffer.concat([this.buffer, data]);
    for (;;) {
      if (this.buffer.length < 2) return;
      const opcode = this.buffer[0] & 15;
      let length = this.buffer[1] & 127;
      let at = 2;
      if (length === 126) {
        if (this.buffer.length < 4) return;
        length = this.buffer.readUInt16BE(2);
        at = 4;
      } else if (length === 127) {
        if (this.buffer.length < 10) return;
        length = Number(this.buffer.readBigUInt64BE(2));
        at = 10;
      }
      if (this.buffer.length < at + 4 + length) return;
      const mask = this.buffer.subarray(at, at + 4);
      const body = Buffer.from(this.buffer.subarray(at + 4, at + 4 + length));
      for (let i = 0; i < body.length; i++) body[i] ^= mask[i % 4];
      this.buffer = this.buffer.subarray(at + 4 + length);
      if (opcode === 1) this.onText(body.toString());
      if (opcode === 8) {
        this.socket.end(Buffer.from([0x88, 0]));
        this.#end(body.length >= 2 ? body.readUInt16BE(0) : 1005);
        return;
      }
    }
  }

  #frame(opcode, body) {
    const head =
      body.length < 126
        ? Buffer.from([0x80 | opcode, body.length])
        : Buffer.from([0x80 | opcode, 126, body.length >> 8, body.length & 255]);
    if (!this.socket.destroyed) this.socket.write(Buffer.concat([head, body]));
  }

  send(value) {
    this.#frame(1, Buffer.from(JSON.stringify(value)));
  }

  close(code, reason = "") {
    const body = Buffer.alloc(2 + Buffer.byteLength(reason));
    body.writeUInt16BE(code, 0);
    body.write(reason, 2);
    this.#frame(8, body);
    this.socket.end();
    this.#end(code);
  }

  /** As a cable that is pulled. */
  destroy() {
    this.socket.destroy();
  }
}

const page = (
  n,
  { lang = "en", dir = "ltr", monitor = true } = {},
) => `<!doctype html><html lang="${lang}" dir="${dir}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Quiz page ${n}</title>
<style>body{font-family:serif;margin:1rem;max-width:60rem} button{background:hotpink;font-size:30px;text-transform:uppercase}</style></head><body>
<h1>Quiz page ${n}</h1><form method="get" action="/quiz"><input type="hidden" name="page" value="${n + 1}">
<p><label>What is a tide? <textarea name="answer" rows="6"></textarea></label></p>
<p>${"The moon and the sun pull at the sea. ".repeat(30)}</p>
<button id="next">Next</button></form><iframe id="editor" srcdoc="&lt;body contenteditable&gt;editor&lt;/body&gt;"></iframe>
<script>window.events=[];for(const n of ["time","paused","resumed","terminated","state"])document.addEventListener("vigil:"+n,e=>events.push([n,e.detail]))</script>
<script type="application/json" id="vigil-config">${JSON.stringify({ tokenEndpoint: "/token", assertionURL: "/assertion?attempt=1", lang, page: n, pages: 3, attempt: "1" })}</script>
${monitor ? '<script src="/assets/monitor.js"></script>' : ""}</body></html>`;

export class FakeVigil {
  constructor() {
    this.peers = [];
    this.frames = []; // everything that students sent, with the connection's number
    this.stored = new Map(); // stream/seq → signal
    this.repeats = 0;
    this.tokens = 0;
    this.acknowledge = true;
    this.refuse = null; // a problem for the token endpoint
    this.down = false; // sockets are refused
    this.look = {};
    this.welcome = {
      role: "student",
      session: "s1",
      exam: { id: "e1", title: "Tides", watch: ["focus", "clipboard", "window", "idle", "display"] },
      epoch: 1,
      state: "active",
      version: 3,
      ping: 10000,
    };
    this.server = createServer((req, res) => this.#serve(req, res));
    this.server.on("upgrade", (req, socket) => this.#upgrade(req, socket));
  }

  async start() {
    await new Promise((done) => this.server.listen(0, "127.0.0.1", done));
    this.port = this.server.address().port;
    this.url = `http://127.0.0.1:${this.port}`;
    return this;
  }

  async stop() {
    for (const peer of this.peers) peer.destroy();
    this.server.closeAllConnections();
    await new Promise((done) => this.server.close(done));
  }

  async #serve(req, res) {
    const url = new URL(req.url, this.url);
    const json = (status, value) => {
      res.writeHead(status, { "content-type": "application/json" });
      res.end(JSON.stringify(value));
    };
    if (url.pathname === "/quiz") {
      res.writeHead(200, { "content-type": "text/html; charset=utf-8" });
      const lang = url.searchParams.get("lang");
      res.end(page(Number(url.searchParams.get("page") || 1), lang ? { ...this.look, lang } : this.look));
    } else if (url.pathname === "/assets/monitor.js") {
      res.writeHead(200, { "content-type": "text/javascript" });
      res.end(await readFile(new URL("../../../assets/monitor.js", import.meta.url)));
    } else if (url.pathname === "/assertion") {
      json(200, { assertion: "a" });
    } else if (url.pathname === "/token") {
      if (this.refuse) return json(this.refuse.status, this.refuse);
      this.tokens++;
      const now = Date.now();
      json(200, { token: "t" + this.tokens, expires: now + 300000, url: `ws://127.0.0.1:${this.port}/socket`, session: "s1", now });
    } else {
      res.writeHead(404);
      res.end();
    }
  }

  #upgrade(req, socket) {
    if (this.down) return socket.end("HTTP/1.1 401 Unauthorized\r\n\r\n");
    const accept = createHash("sha1")
      .update(req.headers["sec-websocket-key"] + GUID)
      .digest("base64");
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: vigil.v1\r\n\r\n`,
    );
    const number = this.peers.length;
    const peer = new Peer(
      socket,
      (text) => {
        const value = JSON.parse(text);
        for (const frame of Array.isArray(value) ? value : [value]) this.#take(peer, number, frame);
      },
      (code) => (peer.code = code),
    );
    peer.offered = req.headers["sec-websocket-protocol"];
    this.peers.push(peer);
    peer.send({ t: "welcome", now: Date.now(), ...this.welcome, epoch: number + 1 });
  }

  #take(peer, number, frame) {
    this.frames.push({ ...frame, connection: number });
    if (frame.t === "hello") {
      peer.stream = frame.stream;
    } else if (frame.t === "time") {
      peer.send({ t: "time", at: frame.at, now: Date.now() });
    } else if (frame.t === "signal") {
      const key = peer.stream + "/" + frame.seq;
      const text = JSON.stringify(frame);
      if (this.stored.has(key)) this.repeats++;
      else this.stored.set(key, text);
      if (this.acknowledge && frame.kind.startsWith("hand_")) this.welcome.hand = frame.kind === "hand_raised";
      if (this.acknowledge) peer.send({ t: "ack", stream: peer.stream, seqs: [frame.seq] });
    } else if (frame.t === "chat" && this.acknowledge) {
      peer.send({ t: "ack", id: frame.id });
    }
  }

  get last() {
    return this.peers[this.peers.length - 1];
  }

  of(type) {
    return this.frames.filter((frame) => frame.t === type);
  }

  signals(kind) {
    return [...this.stored.values()].map((text) => JSON.parse(text)).filter((signal) => !kind || signal.kind === kind);
  }
}

/** Waits until a condition holds. */
export async function until(what, condition, limit = 15000) {
  const end = Date.now() + limit;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error("not in time: " + what);
    await new Promise((done) => setTimeout(done, 25));
  }
}
