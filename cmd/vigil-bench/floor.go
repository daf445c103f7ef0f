//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/redis/go-redis/v9"

	"vigil"
	"vigil/realtime/protocol"
)

// floorCmd is a node of plain Go: coder/websocket, one pub/sub channel an exam, nothing else. It
// checks no token, stores nothing, pings nobody: the least that such a server can cost.
type floorCmd struct {
	Listen string `required:"" help:"Address."`
	Redis  string `required:"" help:"URL."`
}

// Run serves until the process is told to end.
func (c floorCmd) Run(ctx context.Context) error {
	options, err := redis.ParseURL(c.Redis)
	if err != nil {
		return err
	}
	f := &floor{redis: redis.NewClient(options), boards: map[string]*board{}}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return errors.Join(err, f.redis.Close())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /socket", f.socket)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: upgradeTime}
	stopped := context.AfterFunc(ctx, func() { _ = server.Close() }) // Serve says how it ended
	defer stopped()
	err = server.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return errors.Join(err, f.redis.Close())
}

// floor is one node.
type floor struct {
	redis *redis.Client

	mu     sync.Mutex
	boards map[string]*board // by channel
}

// board is an exam's dashboards on this node, and their subscription.
type board struct {
	sub     *redis.PubSub
	sockets map[*websocket.Conn]bool
}

func (f *floor) socket(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled}) // #nosec G402 -- of the Origin, which the load has none of
	if err != nil {
		return // it is answered
	}
	defer func() { _ = ws.CloseNow() }() // it may have ended
	q := r.URL.Query()
	channel := "exam:" + q.Get("exam")
	if q.Get("role") == "proctor" {
		err = f.proctor(r.Context(), ws, channel)
	} else {
		err = f.student(r.Context(), ws, channel, q.Get("session"))
	}
	if websocket.CloseStatus(err) == -1 && r.Context().Err() == nil {
		_ = ws.Close(websocket.StatusInternalError, "") // it may have ended
	}
}

func (f *floor) publish(ctx context.Context, channel string, frame any) error {
	b, err := json.Marshal(frame)
	if err != nil {
		return err
	}
	return f.redis.Publish(ctx, channel, b).Err()
}

// floorConn is what a dashboard is told of a student's connection.
func floorConn(session string, state vigil.Connection, page int) any {
	conn := &protocol.RowConn{Conn: state, Since: time.Now().UnixMilli(), Page: page}
	return protocol.SessionDelta{T: protocol.TypeSession, Row: protocol.Row{ID: session, Conn: conn}}
}

func (f *floor) student(ctx context.Context, ws *websocket.Conn, channel, session string) error {
	if err := ws.Write(ctx, websocket.MessageText, []byte(`{"t":"welcome","role":"student"}`)); err != nil {
		return err
	}
	navigating, stream := false, ""
	defer func() {
		if !navigating {
			_ = f.publish(context.WithoutCancel(ctx), channel, floorConn(session, vigil.ConnLost, 0)) // Redis may have gone
		}
	}()
	for {
		_, msg, err := ws.Read(ctx)
		if err != nil {
			return err
		}
		up, err := protocol.Parse(msg)
		if err != nil {
			return err
		}
		switch up.T {
		case protocol.TypeHello:
			stream = up.Stream
			err = f.publish(ctx, channel, floorConn(session, vigil.ConnOnline, up.Page))
		case protocol.TypeBye:
			navigating = up.Reason == "navigating"
		case protocol.TypeSignal:
			err = f.publish(ctx, channel, protocol.SignalDown{
				T: protocol.TypeSignal, Session: session, Stream: stream, Seq: up.Seq, Kind: vigil.Kind(up.Kind), Severity: 0.1, At: up.At,
				Recv: time.Now().UnixMilli(), Data: up.Data,
			})
		}
		if err != nil {
			return err
		}
	}
}

func (f *floor) proctor(ctx context.Context, ws *websocket.Conn, channel string) error {
	if err := f.join(ctx, ws, channel); err != nil {
		return err
	}
	defer f.leave(ws, channel)
	if err := ws.Write(ctx, websocket.MessageText, []byte(`{"t":"welcome","role":"proctor"}`)); err != nil {
		return err
	}
	for {
		if _, _, err := ws.Read(ctx); err != nil {
			return err
		}
	}
}

func (f *floor) join(ctx context.Context, ws *websocket.Conn, channel string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.boards[channel]
	if b == nil {
		b = &board{sub: f.redis.Subscribe(context.WithoutCancel(ctx), channel), sockets: map[*websocket.Conn]bool{}}
		if _, err := b.sub.Receive(ctx); err != nil { // that it is subscribed
			return errors.Join(err, b.sub.Close())
		}
		f.boards[channel] = b
		go f.deliver(context.WithoutCancel(ctx), b)
	}
	b.sockets[ws] = true
	return nil
}

func (f *floor) leave(ws *websocket.Conn, channel string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.boards[channel]
	if delete(b.sockets, ws); len(b.sockets) == 0 {
		delete(f.boards, channel)
		_ = b.sub.Close() // deliver ends
	}
}

// deliver brings what is published to the dashboards. A slow one holds up the others of its exam:
// that, too, would be one more duty.
func (f *floor) deliver(ctx context.Context, b *board) {
	for m := range b.sub.Channel() {
		f.mu.Lock()
		list := make([]*websocket.Conn, 0, len(b.sockets))
		for ws := range b.sockets {
			list = append(list, ws)
		}
		f.mu.Unlock()
		for _, ws := range list {
			_ = ws.Write(ctx, websocket.MessageText, []byte(m.Payload)) // it may have gone
		}
	}
}

// floorSystem is plain Go as a system to measure.
type floorSystem struct {
	dir, cpus string
	listen    []string
	cache     *redisServer
	nodes     []*process
}

func newFloor(ctx context.Context, c common, dir, cpus string) (*floorSystem, error) {
	f := &floorSystem{dir: dir, cpus: cpus}
	for range c.Nodes {
		address, err := freeAddress(ctx)
		if err != nil {
			return nil, err
		}
		f.listen = append(f.listen, address)
	}
	var err error
	f.cache, err = newRedis(ctx, dir, cpus)
	return f, err
}

func (f *floorSystem) addresses() []string { return f.listen }

func (f *floorSystem) servers() []*process { return f.nodes }

func (f *floorSystem) broker() *process { return f.cache.proc() }

func (f *floorSystem) redis() *redisServer { return f.cache }

func (f *floorSystem) start(ctx context.Context) error {
	if err := f.cache.start(ctx); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for i, address := range f.listen {
		p, err := start(ctx, f.dir, fmt.Sprint("floor-", i), f.cpus, environment(), self, "floor", "--listen", address, "--redis", f.cache.url())
		if err != nil {
			return err
		}
		f.nodes = append(f.nodes, p)
		if err := p.until(ctx, "it to listen", func() bool { return answers(ctx, "http://"+address+"/health") }); err != nil {
			return err
		}
	}
	return nil
}

func (f *floorSystem) stop() error {
	var err error
	for _, p := range f.nodes {
		err = errors.Join(err, p.end())
	}
	f.nodes = nil
	return errors.Join(err, f.cache.stop())
}
